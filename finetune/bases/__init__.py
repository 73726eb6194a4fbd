"""Base models: fetched, checked, put in place."""
