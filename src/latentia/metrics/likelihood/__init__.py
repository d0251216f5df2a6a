"""Scores of the likelihood: exact values, bounds and estimates, and what bounds are made of."""
