"""Models that lift 2D joints, their registry, and what they are given."""
