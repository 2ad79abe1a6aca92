"""The bundled weights: the runs that made them, and the script that trains and scores weights side by side."""
