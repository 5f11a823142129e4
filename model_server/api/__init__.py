"""The HTTP API in the formats of OpenAI: requests are validated, queued and answered."""
