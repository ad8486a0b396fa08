"""The text to learn from: WikiText-2 where it is at hand, else the toy corpus.

WikiText-2 (Merity et al. 2016, CC BY-SA) comes through `datasets`: from the folder that
MINI_TRANSFORMER_DATA names, else from the cache, else from the hub. Left out: every
other data set.
"""

import os
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from helpers.toy import toy_split

REPOSITORY, CONFIG = "Salesforce/wikitext", "wikitext-2-v1"
REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"
FOLDER_VARIABLE = "MINI_TRANSFORMER_DATA"
PATIENCE = 10.0  # seconds for the hub to answer


@dataclass(frozen=True)
class Corpus:
    """Lines of three splits; words are parted by single spaces, no line is empty."""

    name: str
    train: list[str]
    validation: list[str]
    test: list[str]


def quiet_datasets():
    """Imports `datasets` without tokens, warnings or bars; it takes a second or two."""
    os.environ.setdefault("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    import datasets

    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    return datasets


def hub_answers() -> bool:
    """True if the hub answers within `PATIENCE` seconds; proxies are honoured."""
    from huggingface_hub import constants

    answered = []

    def ask():
        url = f"{constants.ENDPOINT}/api/datasets/{REPOSITORY}/revision/{REVISION}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE):
                answered.append(True)
        except OSError:
            pass

    # In a thread of its own, because looking up a name cannot be timed out.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return bool(answered)


def read_splits(datasets, path: str, **options) -> Corpus:
    """Loads the three splits and drops empty lines and outer spaces."""
    loaded = datasets.load_dataset(path, CONFIG, **options)
    splits = {
        split: [line.strip() for line in loaded[split]["text"] if line.strip()]
        for split in ("train", "validation", "test")
    }
    return Corpus("WikiText-2", **splits)


def read_cached(datasets) -> Corpus | None:
    """WikiText-2 from the cache of `datasets`, without asking the network, or None."""
    online, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, True
    try:
        return read_splits(datasets, REPOSITORY)
    except (OSError, ValueError):
        return None
    finally:
        datasets.config.HF_HUB_OFFLINE = online


def load_wikitext() -> Corpus | None:
    """WikiText-2, or None where it cannot be had.

    Raises ValueError if MINI_TRANSFORMER_DATA names a folder that does not hold it.
    """
    datasets = quiet_datasets()
    if folder := os.environ.get(FOLDER_VARIABLE):
        try:
            return read_splits(datasets, str(Path(folder).expanduser()))
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{FOLDER_VARIABLE} names {folder}, which does not hold {CONFIG} in "
                "the hub's layout; correct the variable or remove it."
            ) from error
    corpus = read_cached(datasets)
    if corpus is None and not datasets.config.HF_HUB_OFFLINE and hub_answers():
        datasets.enable_progress_bars()
        try:
            corpus = read_splits(datasets, REPOSITORY, revision=REVISION)
        except (OSError, ValueError):
            corpus = None
    return corpus


def toy_corpus() -> Corpus:
    """The toy corpus as lines of text."""
    splits = {
        split: [" ".join(sentence.words) for sentence in toy_split(split)]
        for split in ("train", "validation", "test")
    }
    return Corpus("toy", **splits)


def load_corpus(name: str | None = None) -> Corpus:
    """WikiText-2 where it is at hand, else (or with the name "toy") the toy corpus."""
    if name not in (None, "toy"):
        raise ValueError(f"There is no corpus {name!r}; choose 'toy' or None.")
    corpus = load_wikitext() if name is None else None
    if corpus is None and name is None:
        print("WikiText-2 is not within reach, so the built-in toy corpus is used.")
    return corpus or toy_corpus()


def require_wikitext() -> Corpus:
    """WikiText-2 itself, for studies, whose records are about no other text.

    Raises ValueError where it is not within reach.
    """
    corpus = load_wikitext()
    if corpus is None:
        raise ValueError(
            "This is about WikiText-2, which is not within reach: connect to the "
            f"network, or name a folder that holds it in {FOLDER_VARIABLE}."
        )
    return corpus


def wikitext_at_hand() -> bool:
    """Whether `load_corpus()` gives WikiText-2 now."""
    return load_wikitext() is not None
