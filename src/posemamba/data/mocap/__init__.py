"""Motion capture in metres, and training clips that virtual cameras see of it."""
