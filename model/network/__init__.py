"""The network: its layers, their fast kernels on a CPU, its directory on the disk."""
