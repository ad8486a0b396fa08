"""A real BERT, from the cache of the Hugging Face hub or from the hub itself."""

from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

from helpers.corpus import PATIENCE, corpus_download_failure

WANTED = "config.json", "model.safetensors", "vocab.txt", "tokenizer*.json"
# Small ones first. Whichever has no safetensors on the hub is passed over.
NAMES = "google/bert_uncased_L-4_H-256_A-4", "google-bert/bert-base-uncased"


def require_hub(name: str) -> None:
    """ConnectionError where the hub does not answer, or has no such weights.

    Asked once and briefly, because the hub's client tries again for minutes.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE forbids asking the hub")
    url = f"{constants.ENDPOINT}/{name}/resolve/main/model.safetensors"
    try:
        urlopen(Request(url, method="HEAD"), timeout=PATIENCE).close()
    except (OSError, ValueError) as error:
        why = corpus_download_failure(error)
        raise ConnectionError(f"{name} cannot be had ({why})") from error


def fetch_from_hub(name: str) -> Path:
    """The folder of a BERT of the hub, downloaded if need be; else ConnectionError."""
    from huggingface_hub import snapshot_download

    def folder(**how) -> Path:
        return Path(snapshot_download(name, allow_patterns=[*WANTED], **how))

    with suppress(OSError, ValueError):  # where nothing is in the cache
        cached = folder(local_files_only=True)
        if (cached / "model.safetensors").is_file():
            return cached
    require_hub(name)
    try:
        return folder()
    except (OSError, ValueError) as error:
        why = corpus_download_failure(error)
        raise ConnectionError(f"{name} cannot be had ({why})") from error


def fetch_bert(names=NAMES) -> Path:
    """The folder of the first of these that can be had.

    ConnectionError, with the reason for the last of them, if none can.
    """
    *others, last = names
    for name in others:
        with suppress(ConnectionError):
            return fetch_from_hub(name)
    return fetch_from_hub(last)
