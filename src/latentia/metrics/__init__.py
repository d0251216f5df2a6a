"""Metrics: scores of a model that carry their unit, their kind and their uncertainty."""
