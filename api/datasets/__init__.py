"""Datasets: uploaded, read to the end and described, to be trained on by any number of jobs."""
