"""What `bench_answers.py` measures, a file a table."""
