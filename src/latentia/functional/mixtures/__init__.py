"""Mixtures of Gaussians, categories and their products: densities, conditionals, and the two steps of EM."""
