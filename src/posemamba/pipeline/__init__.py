"""From a file to 3D poses: inputs read, people found and chosen, joints lifted."""
