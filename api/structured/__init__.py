"""Answers that programs can use: values by a schema, calls of functions, functions that a model writes."""
