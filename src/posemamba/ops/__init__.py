"""Kernels, each with its reference; they take tensors and know no model."""
