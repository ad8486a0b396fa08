"""Measurements beside the lessons: what a training step costs, here and elsewhere."""

import helpers  # noqa: F401  has Ctrl-C end a command also while it starts
