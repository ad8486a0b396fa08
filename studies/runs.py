"""What runs of several studies share: a recipe, trusted records, scores, more steps."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from helpers import ROOT, record
from helpers.checkpoint import load_model, load_state, save_state
from helpers.corpus import REVISION, require_wikitext
from helpers.evaluate import TrainingData, evaluate
from helpers.optimize import TrainConfig

# The fast recipe: Muon for the matrices, and twice the words asked at a time.
FAST = TrainConfig(
    optimizer="muon", learning_rate=4e-3, mask_rate=0.3, last_mask_rate=0.3
)
LENGTH = "epochs", "warmup", "evaluations"  # settings that say how long a run is


def trained(*names: str) -> tuple:
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
    digests = {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in paths.items()
    }
    text = {"name": corpus.name, "revision": REVISION, "split": "validation"}
    models = {name: model for name, (model, *_) in loaded.items()}
    return models, tokenizer, corpus, {"corpus": text, "weights": digests}


def known(path: Path, wanted: dict) -> dict | None:
    """A run's record if there is one; ValueError if it is not of the run wanted."""
    if not path.exists():
        return None
    found = record.read(path)
    for key, value in wanted.items():
        if found.get(key) != value:
            raise ValueError(f"{path} has another {key}.")
    return found


def same_start(one: dict, other: dict) -> bool:
    """Whether two settings differ in nothing but the length of a constant rate.

    Both then do the same at each of their common steps.
    """
    free = dict.fromkeys(LENGTH)
    warm_ups = (given["epochs"] * given["warmup"] for given in (one, other))
    return (
        one | free == other | free and math.isclose(*warm_ups) and not one["cooldown"]
    )


def lengthen(run: Path, longer: Path, identity: dict) -> None:
    """Has a longer run go on where a shorter one has ended, if there is one.

    ValueError if they do not do the same until there.
    """
    state = load_state(run / "state.pt")
    if not state or load_state(longer / "state.pt"):
        return
    if not same_start(state["identity"], identity):
        raise ValueError(f"{run} holds another run than {longer} begins with.")
    save_state(longer / "state.pt", state | {"identity": identity})


def whole_score(model, ids_BT: Tensor, subset_BT: Tensor) -> dict:
    """Loss and accuracy with every word of all seven subsets predicted once."""
    score = evaluate(model, ids_BT, subset_BT, subsets=range(7))
    return {key: score[key] for key in ("loss", "accuracy", "words")}


def fewer(data: TrainingData, blocks: int) -> TrainingData:
    """The same data with less to score, for runs that are scored often.

    Keeps `blocks` validation blocks and an eighth as many of the training text, at
    equal distances from the first on; the distance is rounded down, so what lies behind
    the last of them is left out.
    """

    def some(of, count: int):
        return of[:: max(1, len(of) // count)][:count]

    return replace(
        data,
        validation_BT=some(data.validation_BT, blocks),
        subset_BT=some(data.subset_BT, blocks),
        sample_BT=some(data.sample_BT, max(1, blocks // 8)),
        sample_subset_BT=some(data.sample_subset_BT, max(1, blocks // 8)),
    )
