"""Objectives that are solved in closed form, in one step."""
