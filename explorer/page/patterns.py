r"""The tokenizer's regular expressions, translated from Python to JavaScript.

So the page splits words by the very patterns of helpers/text.py. The two languages
differ in what is a letter or digit: \w, \d and \b know all scripts in Python, but ASCII
alone in JavaScript, where Unicode's categories have names, such as \p{L}.
"""

import re

from helpers import text

WORD, DIGIT = r"\p{L}\p{N}_", r"\p{Nd}"  # what \w and \d stand for
BORDER = rf"(?:(?<=[{WORD}])(?![{WORD}])|(?<![{WORD}])(?=[{WORD}]))"  # \b
COMMENT = re.compile(r"(?m)(?<!\\)#.*$|\s+")
PIECES = re.compile(
    r"(?P<escape>\\.)|(?P<letters>\[\^\\W\\d_\])|(?P<word>\[\^\\W_\])"
    r"|(?P<class>\[(?:\\.|[^\]\\])*\])"
)


def javascript_piece(match: re.Match) -> str:
    r"""A class or an escape that means something else in JavaScript."""
    piece = match[0]
    match match.lastgroup:
        case "letters":
            return r"[\p{L}\p{Nl}\p{No}]"
        case "word":
            return r"[\p{L}\p{N}]"
        case "class":
            piece = piece.replace(text.MARKS, r"\p{M}")
            return piece.replace(r"\w", WORD).replace(r"\d", DIGIT)
    return {r"\w": f"[{WORD}]", r"\d": DIGIT, r"\b": BORDER}.get(piece, piece)


def to_javascript(pattern: re.Pattern) -> str:
    """The source of a pattern as JavaScript reads it with the flags g and u."""
    source = pattern.pattern
    if pattern.flags & re.VERBOSE:
        source = COMMENT.sub("", source)
    source = PIECES.sub(javascript_piece, source)
    return re.sub(r"\\U000(\w{5})", r"\\u{\1}", source)


def javascript_patterns() -> dict[str, str]:
    """What `splitWords` in engine.js is made of."""
    names = "UNSEEN TAIL INNER OPENING WORD".split()
    return {name: to_javascript(getattr(text, name)) for name in names}
