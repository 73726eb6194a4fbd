"""Tables: rows with named and typed columns, kept here or read from a database that the settings name."""
