"""Runs: a fitted model and the folder it lives in."""
