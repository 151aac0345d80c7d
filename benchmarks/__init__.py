"""Where the numbers of README.md come from: each by one command."""
