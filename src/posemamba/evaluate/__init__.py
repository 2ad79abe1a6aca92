"""Errors of models on benchmarks."""
