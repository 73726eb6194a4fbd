"""Encoders that make vectors of texts, exported as one small ONNX file each, by numpy and onnx alone."""
