"""Which lever helps: the same questions asked of a base and a tuned model, each with documents and without."""
