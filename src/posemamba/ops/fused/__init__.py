"""PoseMamba's forward pass without gradients in a few kernels a layer."""
