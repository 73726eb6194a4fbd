"""What a document says, page by page: a reader a format, run in a process of its own (`__main__`)."""
