"""Files that a reader keeps."""

from pathlib import Path

from helpers import ROOT
from helpers.files import write_file

SAVED = ROOT / "saved"  # ignored by git


def offer_download(path: Path) -> None:
    """In Colab, where the reader does not see the disk, the browser downloads it."""
    try:
        from google.colab import files  # exists in Colab only
    except ImportError:
        return
    files.download(str(path))


def save_for_reader(name: str, content: bytes) -> str:
    """Writes a file into saved/ and tells as HTML where it lies."""
    path = SAVED / name
    write_file(path, content)
    told = f"{SAVED.name}/{path.name}"
    offer_download(path)
    return (
        f'<span class="mt-saved" data-path="{told}">Saved as {told}, in the folder of '
        "the project.</span>"
    )


def file_slug(token: str) -> str:
    """ASCII letters and digits stay, any other character becomes uXXXX; 24 at most."""
    token = token.strip("<>[]") or token
    safe = (c if c.isascii() and c.isalnum() else f"u{ord(c):04x}" for c in token)
    return "".join(safe)[:24]
