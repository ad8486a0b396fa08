"""Measurements beside the lessons: what a training step costs, here and elsewhere."""
