"""Estimates of the likelihood of a latent variable model, and criteria made of likelihoods."""
