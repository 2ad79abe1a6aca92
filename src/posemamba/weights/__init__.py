"""Weights files: their names, formats and reading. Which model they belong to is `posemamba.models.registry`'s."""
