"""Tables of changes that spoil right code, each with what has to be said about it.

An entry is a line such as `.tril() => .triu() ✗ looks at words that come after`. It may
go on in lines that are indented. ` | ` separates the pieces of one change.
"""

import re


def entries(table: str) -> list[tuple[str, str]]:
    """Each change of a table, and what is said about it."""
    lines = re.sub(r"\n +", " ", table).splitlines()
    return [tuple(line.split(" ✗ ")) for line in lines if line]


def changed(source: str, change: str) -> str:
    """The source after a change; ValueError if it lacks what is to be changed."""
    for piece in change.split(" | "):
        old, new = re.fullmatch(r"(.+?) =>(?: (.*))?", piece).groups()
        if old not in source:
            raise ValueError(f"The right code has no {old!r}; correct the table.")
        source = source.replace(old, new or "")
    return source
