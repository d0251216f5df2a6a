"""Adversarial training: losses, penalties and what else critics and generators are given, as functions."""
