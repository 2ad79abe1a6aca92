"""Helpers that know nothing of poses: errors, files, progress, plotting."""
