"""Objectives: how models learn. Each describes a training step as losses of named players."""
