"""Cameras of a cell, one file a family."""
