"""A reader a format."""
