"""Whether a tuned model is better than its base: what is asked, how answers are scored, and how sure that is."""
