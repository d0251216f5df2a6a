"""Objectives of variational autoencoders: the evidence lower bound and its variants."""
