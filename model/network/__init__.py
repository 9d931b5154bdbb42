"""The network: its layers, fast kernels for training on a CPU, and the model directory."""
