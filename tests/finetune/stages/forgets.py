"""Ends well without having made anything."""
