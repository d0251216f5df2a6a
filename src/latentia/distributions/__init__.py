"""Probability distributions: likelihoods of decoders, priors and posteriors of codes, and what they are made of."""
