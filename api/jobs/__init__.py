"""Fine-tuning jobs: submitted as a directory and a row, supervised, published after their probes agree."""
