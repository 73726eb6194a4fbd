"""Files of a workspace: kept as they came, under a purpose, for as long as was asked for."""
