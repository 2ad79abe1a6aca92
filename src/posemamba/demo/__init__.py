"""A synthetic walker with a known 3D truth, filmed by a synthetic camera."""
