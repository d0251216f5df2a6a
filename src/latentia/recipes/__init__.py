"""Recipes: named systems with good defaults; one file per family."""
