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

from tqdm.auto import tqdm

from helpers.files import reading_file, write_file
from helpers.text import UNSEEN
from helpers.toy import toy_split

REPOSITORY, CONFIG = "Salesforce/wikitext", "wikitext-2-v1"
REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"
SPLITS = "train", "validation", "test"
FILES = [f"{CONFIG}/{split}-00000-of-00001.parquet" for split in SPLITS]
PATIENCE = 10.0  # seconds without a new byte, after which the hub is given up
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


def clean_corpus_line(text: str) -> str:
    """A text as typed text is read: without what nobody sees, with single spaces."""
    text = unicodedata.normalize("NFC", UNSEEN.sub(r"\1", text))
    return " ".join(text.split())


def read_corpus_split(folder: Path, split: str) -> list[str]:
    """The lines of a split that are not empty. Raises ValueError if there are none."""
    from pyarrow.parquet import ParquetFile

    files, rows = folder / CONFIG / f"{split}-*.parquet", []
    for file in sorted(files.parent.glob(files.name)):
        with reading_file(file, 'It needs a column "text" of strings.'):
            rows += ParquetFile(file).read(["text"])["text"].to_pylist()
            if others := [row for row in rows if not isinstance(row, str | None)]:
                raise ValueError(f"{others[0]!r:.40} is no text")
    lines = [" ".join(row.split()) for row in rows if row and clean_corpus_line(row)]
    if not lines:
        raise ValueError(f"There is no text in {files}.")
    return lines


def corpus_digest(splits: dict[str, list[str]]) -> str:
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
    splits = {split: read_corpus_split(folder, split) for split in SPLITS}
    digest = corpus_digest(splits)
    if digest == DIGEST:
        return Corpus(WIKITEXT, **splits)
    splits = {s: [*map(clean_corpus_line, lines)] for s, lines in splits.items()}
    return Corpus(f"text-{digest[:8]}", **splits)


def corpus_download_failure(error: BaseException) -> str:
    """What was at the bottom of an error, in one line."""
    while error.__cause__:
        error = error.__cause__
    text = str(error).strip().partition("\n")[0].rstrip(".:")
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def download_wikitext(folder: Path) -> None:
    """Downloads the files into a folder, over what lies there, with a bar.

    A slow download goes on. Raises ConnectionError with the cause if it fails, or if
    nothing arrives for `PATIENCE` seconds. The client's own `hf_hub_download` would
    then try again for minutes, so only its session is used.
    """
    from huggingface_hub import close_session, get_session, hf_hub_url
    from huggingface_hub import hf_raise_for_status as require_success

    close_session()  # the next one knows of a proxy that was set since
    try:
        with tqdm(desc=WIKITEXT, unit="B", unit_scale=True, leave=False) as bar:
            for name in FILES:
                where = {"repo_type": "dataset", "revision": REVISION}
                url, content = hf_hub_url(REPOSITORY, name, **where), bytearray()
                with get_session().stream("GET", url, timeout=PATIENCE) as answer:
                    require_success(answer)
                    for part in answer.iter_bytes():
                        content += part
                        bar.update(len(part))
                write_file(folder / name, bytes(content))
    except Exception as error:  # of the session, or of the disk
        raise ConnectionError(corpus_download_failure(error)) from error


def load_wikitext() -> Corpus:
    """WikiText-2 from the hub's cache, else from the hub. Raises ConnectionError."""
    from huggingface_hub import constants

    name = f"datasets--{REPOSITORY.replace('/', '--')}"
    folder, why = Path(constants.HF_HUB_CACHE, name, "snapshots", REVISION), []
    for ask_hub in (False, True) if folder.exists() else (True,):
        try:
            if ask_hub:
                download_wikitext(folder)
            if (corpus := read_corpus(folder)).name == WIKITEXT:
                return corpus
            why.append(f"the text in {folder} is not WikiText-2")
        except (ConnectionError, ValueError) as error:
            why.append(str(error).rstrip("."))
    raise ConnectionError(
        f"WikiText-2 is not within reach ({'; '.join(why)}). Connect to the network, "
        f"or set {FOLDER_VARIABLE} to a folder that holds it, or to {TOY!r} for the "
        "built-in toy corpus."
    )


def load_toy_corpus() -> Corpus:
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
        return load_toy_corpus()
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
        return load_toy_corpus() if name else training_corpus()
    except ConnectionError as error:
        print(f"{error} Until then the toy corpus is used.")
        return load_toy_corpus()
