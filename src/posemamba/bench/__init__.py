"""The benchmark of models and scans: speed, memory and exactness, in one run on one machine."""
