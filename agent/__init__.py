"""The agent at the polling station: measure -> judge -> decide -> route -> report."""
