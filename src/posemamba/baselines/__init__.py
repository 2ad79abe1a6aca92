"""Other authors' models, to compare with in the same harness."""
