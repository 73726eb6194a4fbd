"""A job on one page: what it learned from, what it cost, what was verified, and whether it is better than its base."""
