"""Scores of latent codes: what they tell of rows and classes."""
