"""The text to learn from: WikiText-2 where it is at hand, else the toy corpus.

WikiText-2 (Merity et al. 2016, CC BY-SA) is read from the hub's cache, else it comes
from the hub. MINI_TRANSFORMER_DATA names a folder of the same layout with this or
another text, or chooses the toy corpus by its name.
"""

import hashlib
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from helpers.files import reading
from helpers.hub import CONFIG, FILES, REPOSITORY, REVISION, SPLITS, download
from helpers.text import UNSEEN
from helpers.toy import toy_split

WIKITEXT, TOY = "WikiText-2", "toy"
DIGEST = "4138d777194201bda53985ba56fef8730283c343eaa5c9313e628c9052f7272a"
FOLDER_VARIABLE = "MINI_TRANSFORMER_DATA"


@dataclass(frozen=True)
class Corpus:
    """The lines of three splits; single spaces part words, and no line is empty."""

    name: str
    train: list[str]
    validation: list[str]
    test: list[str]


def read_rows(file: Path) -> list[str | None]:
    """The column "text" of a parquet file. Raises ValueError if it cannot be read."""
    from pyarrow.parquet import ParquetFile

    with reading(file, 'It needs a column "text" of strings.'):
        with ParquetFile(file) as parquet:
            rows = parquet.read(["text"])["text"].to_pylist()
        for row in rows:
            if not isinstance(row, str | None):
                raise ValueError(f"{row!r:.40} is no text")
    return rows


def clean(text: str) -> str:
    """A text as typed text is read: without what nobody sees, with single spaces."""
    text = unicodedata.normalize("NFC", UNSEEN.sub(r"\1", text))
    return " ".join(text.split())


def read_split(folder: Path, split: str) -> list[str]:
    """The lines of a split that are not empty. Raises ValueError if it has none."""
    pattern = f"{split}-*.parquet"
    files = sorted((folder / CONFIG).glob(pattern))
    if not files:
        raise ValueError(f"There is no file {folder / CONFIG / pattern}.")
    rows = [row for file in files for row in read_rows(file) if row]
    lines = [" ".join(row.split()) for row in rows if clean(row)]
    if not lines:
        raise ValueError(f"There is no text in {folder / CONFIG / pattern}.")
    return lines


def text_digest(splits: dict[str, list[str]]) -> str:
    """The SHA-256 of a text, whatever the order of its training lines.

    Some copies of WikiText-2 have its articles in another order.
    """
    parts = sorted(splits["train"]), splits["validation"], splits["test"]
    text = "\0".join("\n".join(lines) for lines in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_corpus(folder: Path) -> Corpus:
    """The text of a folder in the hub's layout, named by what it is.

    WikiText-2 stays as it is; any other text is cleaned and named by its digest.
    """
    splits = {split: read_split(folder, split) for split in SPLITS}
    digest = text_digest(splits)
    if digest == DIGEST:
        return Corpus(WIKITEXT, **splits)
    splits = {split: [*map(clean, lines)] for split, lines in splits.items()}
    return Corpus(f"text-{digest[:8]}", **splits)


def read_cache() -> Corpus | None:
    """WikiText-2 from the hub's cache, or None. Raises ValueError if it is damaged."""
    from huggingface_hub import try_to_load_from_cache

    place = {"revision": REVISION, "repo_type": "dataset"}
    first = try_to_load_from_cache(REPOSITORY, FILES[0], **place)
    if not isinstance(first, str):
        return None
    corpus = read_corpus(folder := Path(first).parents[1])
    if corpus.name != WIKITEXT:
        raise ValueError(f"The text in {folder} is not WikiText-2.")
    return corpus


def load_wikitext() -> Corpus:
    """WikiText-2 from the cache, else from the hub. Raises ConnectionError."""
    damage = ""
    try:
        if corpus := read_cache():
            return corpus
    except ValueError as error:
        damage = f"; the copy in the cache is damaged: {str(error).rstrip('.')}"
    try:
        download()
        return read_cache()
    except (ConnectionError, ValueError) as error:
        why = str(error).rstrip(".") + damage
        raise ConnectionError(
            f"WikiText-2 is not within reach ({why}). Connect to the network, or set "
            f"{FOLDER_VARIABLE} to a folder that holds it, or to {TOY!r} for the "
            "built-in toy corpus."
        ) from error


def toy_corpus() -> Corpus:
    """The toy corpus as lines of text."""
    lines = {s: [" ".join(one.words) for one in toy_split(s)] for s in SPLITS}
    return Corpus(TOY, **lines)


def training_corpus() -> Corpus:
    """The text that MINI_TRANSFORMER_DATA names, else WikiText-2.

    Nothing stands in for it, as befits a training in full size: raises ValueError for a
    folder without a text, ConnectionError where WikiText-2 is not within reach.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if not chosen:
        return load_wikitext()
    if chosen == TOY:
        return toy_corpus()
    try:
        return read_corpus(Path(os.path.expanduser(chosen)))
    except ValueError as error:
        remedy = f"{FOLDER_VARIABLE} names this folder: correct or remove it."
        raise ValueError(f"{error} {remedy}") from error


def load_corpus(name: str | None = None) -> Corpus:
    """The text of `training_corpus`; without one, or by the name "toy", the toy corpus.

    A folder that was chosen and holds no text is an error here, too.
    """
    if name not in (None, TOY):
        raise ValueError(f"There is no corpus {name!r}; choose {TOY!r} or None.")
    try:
        return toy_corpus() if name else training_corpus()
    except ConnectionError as error:
        print(f"{error} Until then the toy corpus is used.")
        return toy_corpus()
