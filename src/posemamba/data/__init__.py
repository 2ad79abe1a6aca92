"""Training data: motion capture and the paper's benchmarks, as clips."""
