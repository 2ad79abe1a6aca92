"""Errors on real video: each of several calibrated views lifted alone, scored against what the other views show."""
