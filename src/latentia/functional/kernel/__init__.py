"""Kernels, and the distances between samples that are made of them."""
