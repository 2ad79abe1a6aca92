"""Lifts and trainings killed at random moments, and called again: is the result that of an uninterrupted run?

``python -m tests.interrupts --runs 30 --seed 1`` prints a line for each run and fails on any difference, on anything
left over, and on work done twice beyond what is saved at intervals.
"""
