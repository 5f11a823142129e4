"""What both programs share: limits of what strangers can hold open, fair queues, and what they say to each other."""
