"""One step of a job each: `python -m finetune.stages.NAME JOB_DIR`."""
