"""The explorer of notebook 05: mask a word, see the guess, the gaze and what it needs.

Bottom floor first: `card` writes HTML, `views` knows what to show of one sentence,
`controls` are what a reader touches, `widget` answers. It stands on `helpers/`, which
knows nothing of it.
"""

from explorer.widget import Explorer

__all__ = ["Explorer"]
