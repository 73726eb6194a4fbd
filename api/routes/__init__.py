"""HTTP in, one domain call, HTTP out. Wire models stand beside their route; no client library here."""
