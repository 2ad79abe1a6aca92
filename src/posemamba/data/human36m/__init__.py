"""Human3.6M: the preprocessed file, its cache and the clips made of it."""
