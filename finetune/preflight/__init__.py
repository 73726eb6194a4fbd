"""What a run will need, before it is run: a formula, corrected by what earlier runs here really needed. No torch."""
