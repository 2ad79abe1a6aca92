"""A fuzz harness: damaged copies of files of every kind, given to every reader and command that takes files.

``python -m tests.fuzz --cases 20000 --seed 1`` prints a table and fails on a traceback, on more than 5 seconds of
computing and on more than 2 GB. A case is a target, a number and a seed, and the same each time:
``python -m tests.fuzz --only weights --case 17 --seed 1 --keep folder`` makes one again and keeps its file.
"""
