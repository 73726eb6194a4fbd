"""What `bench_retrieval.py` is made of."""
