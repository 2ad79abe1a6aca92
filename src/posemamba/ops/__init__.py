"""Kernels, each with its reference; they take tensors and are independent of any model."""
