"""The engine for encoders: ONNX Runtime in a child process that speaks as the llama.cpp one does."""
