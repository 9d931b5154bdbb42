"""Models for programs without textmill: Keras files, TensorFlow SavedModels, ONNX."""
