"""MPI-INF-3DHP: the preprocessed files, their cache and the clips made of them."""
