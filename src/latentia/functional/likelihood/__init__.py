"""Likelihoods: estimates for latent variable models, the gap to the data's entropy, and information criteria."""
