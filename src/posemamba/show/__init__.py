"""Visualisation of results: the web page and the overlay video."""
