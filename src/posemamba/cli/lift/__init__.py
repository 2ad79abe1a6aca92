"""`posemamba lift`: options, checks before the work, the work, the results."""
