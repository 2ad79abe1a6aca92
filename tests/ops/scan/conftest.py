"""The scan's kernels for GPUs, run on the CPU."""

from emulation import cuda_on_cpu as cuda_on_cpu
