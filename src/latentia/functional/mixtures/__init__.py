"""Gaussian mixtures: their densities, their conditionals, and the two steps of EM, as functions of tensors."""
