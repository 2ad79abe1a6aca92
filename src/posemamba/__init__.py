"""PoseMamba: monocular 3D human pose from video."""
