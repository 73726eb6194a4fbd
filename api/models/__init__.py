"""What models there are and what they are built on."""
