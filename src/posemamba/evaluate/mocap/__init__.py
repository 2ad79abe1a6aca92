"""The motion-capture benchmark: scenes, noise, scores, robustness and reports."""
