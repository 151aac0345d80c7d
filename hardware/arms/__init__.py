"""Arms, one file a family."""
