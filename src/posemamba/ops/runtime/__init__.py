"""What kernels run on: devices, compilers, memory."""
