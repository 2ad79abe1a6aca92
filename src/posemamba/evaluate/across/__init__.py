"""Scores across data sets: weights on AIST++ and 3DPW, which they were not trained on."""
