"""From 2D joints to 3D poses: clips of any length through a model that sees a few hundred frames at once."""
