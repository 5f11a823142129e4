"""The servers that models are reached through: what each can do, whether it is well, and which one gets a request."""
