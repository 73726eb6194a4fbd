"""From a base and an adapter to files: tensors merged one at a time on their way into the converter."""
