"""Likelihoods p(x | z): to add one, write one decorated class in a file here."""
