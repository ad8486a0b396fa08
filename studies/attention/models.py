"""The shipped models, which the studies of attention ask."""

import hashlib

from helpers import ROOT
from helpers.checkpoint import load_model
from helpers.corpus import REVISION
from studies.lab.wikitext import require_wikitext


def shipped_models(*names: str) -> tuple:
    """Shipped models by name, in eval mode; their tokenizer; the text they are of.

    And, for a record, which text and which weights these are. ValueError if the text at
    hand is not the one that the models were trained on.
    """
    paths = {name: ROOT / "weights" / f"{name}.safetensors" for name in names}
    loaded = {name: load_model(path) for name, path in paths.items()}
    _, tokenizer, info = loaded[names[0]]
    corpus = require_wikitext()
    if corpus.name != info["corpus"]:
        raise ValueError(f"The weights are of {info['corpus']}, not {corpus.name}.")
    digests = {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in paths.items()}
    text = {"name": corpus.name, "revision": REVISION, "split": "validation"}
    models = {name: model for name, (model, *_) in loaded.items()}
    return models, tokenizer, corpus, {"corpus": text, "weights": digests}
