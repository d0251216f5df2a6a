"""Symptoms: what may be wrong with a training, each a function of its history and of facts about it."""
