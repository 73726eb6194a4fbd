"""Tests of the door that Anthropic's clients know."""
