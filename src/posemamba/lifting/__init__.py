"""Lifting of 2D joints to 3D poses: clips of any length, by a model that takes a few hundred frames at once."""
