"""Rows of a table as real vectors, for models of nothing else, and back."""
