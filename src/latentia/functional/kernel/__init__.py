"""Kernels, and what is computed from them: MMD, the energy distance, sums of density kernels."""
