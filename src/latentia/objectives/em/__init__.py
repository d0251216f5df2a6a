"""Expectation-maximisation of mixtures and of linear Gaussian models."""
