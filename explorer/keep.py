"""Files that a reader keeps."""

from pathlib import Path

from helpers import ROOT
from helpers.files import write_whole

SAVED = ROOT / "saved"  # ignored by git


def offer(path: Path) -> None:
    """In Colab, where the reader does not see the disk, the browser downloads it."""
    try:
        from google.colab import files  # exists in Colab only
    except ImportError:
        return
    files.download(str(path))


def keep(name: str, content: bytes) -> str:
    """Writes a file into saved/ and tells as HTML where it lies."""
    path = SAVED / name
    write_whole(path, content)
    told = f"{SAVED.name}/{path.name}"
    offer(path)
    return (
        f'<span class="mt-saved" data-path="{told}">Saved as {told}, in the folder of '
        "the project.</span>"
    )
