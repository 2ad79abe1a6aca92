"""Studies: measurements behind the numbers in the guides; run by hand, not installed with the package."""
