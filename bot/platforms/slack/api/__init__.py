"""The Slack Web API as the bot calls it: methods, rate limits, message formats."""
