"""Events from Slack: commands, buttons, forms, messages and the Home tab."""
