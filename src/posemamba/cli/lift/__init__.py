"""``posemamba lift``: its options, the checks before the work, the work, and the results."""
