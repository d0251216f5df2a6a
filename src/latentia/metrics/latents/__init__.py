"""Scores of latent codes: reconstruction, and prediction of classes."""
