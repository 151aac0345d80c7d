"""What a person drives the arm with, one file a family."""
