"""The linter: looks at the rows of a dataset as a stream and says what would quietly spoil a run."""
