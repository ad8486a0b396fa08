"""Files are whole, or refused: nothing is left half written or half read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_file(path: Path, content: bytes | str, old: Path | None = None) -> None:
    """Writes a file so that a crash at any moment leaves the one before, or this one.

    `old` is a name for the one before, else it is gone. OSError if it cannot be done:
    the file of before is as it was then, and nothing half written is left.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    content = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if old:
            os.replace(path, old)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):  # on a read-only file system it cannot be removed
            part.unlink()
        raise OSError(
            f"{path} cannot be written ({error.strerror or error}). What was saved "
            "before is as it was; make room, or choose another folder."
        ) from error


@contextmanager
def reading_file(
    path: Path, advice="Save it again, or fetch it again."
) -> Iterator[None]:
    """Turns whatever goes wrong while a file is read into one clear ValueError."""
    try:
        yield
    except Exception as error:  # a file may hold anything
        raise ValueError(
            f"{path} is missing, damaged or of another kind ({error!r}). {advice}"
        ) from error
