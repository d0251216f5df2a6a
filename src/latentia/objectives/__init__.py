"""Objectives: each is a way to learn, told as a game of named players."""
