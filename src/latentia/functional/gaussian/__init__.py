"""Gaussians: densities, divergences, the 2-Wasserstein distance, and estimates of covariances."""
