"""Figures of the theory: solved games, divergences, and trade-offs."""
