"""Training: recipes, steps, checkpoints, weights files."""
