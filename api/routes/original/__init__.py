"""The customer's paths and manners."""
