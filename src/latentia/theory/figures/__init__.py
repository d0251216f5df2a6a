"""Figures of the theory: games that are solved, divergences, and what training trades off."""
