"""HTTP on the wire; no domain."""
