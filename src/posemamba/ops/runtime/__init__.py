"""The kernels' runtime: devices, compilers, memory and settings."""
