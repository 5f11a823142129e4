"""The HTTP API in OpenAI's formats: validates, queues and answers requests."""
