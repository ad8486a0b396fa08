"""The studies: what is measured beside the lessons, and how it is told."""

import helpers  # noqa: F401  has Ctrl-C end a command also while it starts
