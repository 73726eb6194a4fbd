"""What a caller can choose of a run, a group a file; `finetune/job/spec.py` puts them together."""
