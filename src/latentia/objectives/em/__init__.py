"""Expectation-maximisation."""
