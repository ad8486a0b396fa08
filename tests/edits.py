"""Code with a fault, written as a table: which piece of the right code is another.

A table has a line that says what follows, and below it, indented by four, the changes
that lead to it, as in `.tril() => .triu()`. A change of several pieces separates them
with ` | `, and goes on in lines that are indented deeper.
"""

import re


def entries(table: str) -> list[tuple[str, str]]:
    """What each change of a table leads to, and the change."""
    found, heading = [], ""
    for line in table.splitlines():
        if line.startswith(" " * 8):
            found[-1] = heading, f"{found[-1][1]} {line.strip()}"
        elif line.startswith(" " * 4):
            found.append((heading, line.strip()))
        elif line:
            heading = line
    return found


def changed(source: str, change: str) -> str:
    """The source after a change; ValueError if it lacks what is to be changed."""
    for piece in change.split(" | "):
        old, new = re.fullmatch(r"(.+?) =>(?: (.*))?", piece).groups()
        if old not in source:
            raise ValueError(f"The right code has no {old!r}; correct the table.")
        source = source.replace(old, new or "")
    return source
