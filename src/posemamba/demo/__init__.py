"""A made-up walker with a known 3D truth, filmed by a made-up camera."""
