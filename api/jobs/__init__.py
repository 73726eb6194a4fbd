"""Fine-tuning jobs: a directory and a row each; supervised, and published when probes agree."""
