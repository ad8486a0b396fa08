"""The studies: what the series has measured, and how its results are reported."""

import helpers  # noqa: F401  has Ctrl-C end a command also while it starts
