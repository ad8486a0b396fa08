"""What runs of several studies share: a recipe, trusted records, scores, more steps."""

import hashlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from helpers import ROOT, record
from helpers.checkpoint import load_model, load_state, save_state
from helpers.corpus import REVISION, require_wikitext
from helpers.data import TrainingData, encode_lines, lone_sentences, pad
from helpers.evaluate import evaluate
from helpers.optimize import TrainConfig
from helpers.settings import Number

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


def sound(found, name: str = "") -> bool:
    """Whether each loss, accuracy and time, at any depth, is a finite number."""
    if isinstance(found, dict):
        return all(sound(part, key) for key, part in found.items())
    if isinstance(found, list):
        return all(sound(part, name) for part in found)
    return not name.endswith(("loss", "accuracy", "seconds")) or found in Number()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within it, a record that lacks a part or has one of another kind: ValueError."""
    try:
        yield
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no record of this study ({error!r}); restore it as it was made."
        ) from error


def require_run(path: Path, found: dict, wanted: dict, free=()) -> None:
    """ValueError if what a file holds is not of the run wanted; `free` may differ."""
    with reading(path):
        try:
            record.require_same(path, found, wanted, free)
        except ValueError as error:
            told = re.split(r"; make|\. Choose", str(error))[0]  # without its advice
            told = told if str(path) in told else f"{path}: {told}"
            raise ValueError(
                f"{told}. The arm or the record was changed; restore it as it was."
            ) from error


def require_part(found, names: list[str]) -> None:
    """KeyError or TypeError if a record, or one of a list of them, lacks a part."""
    for one in (found if isinstance(found, list) else [found]) if names else ():
        require_part(one[names[0]], names[1:])


def known(path: Path, wanted: dict, free=(), parts=()) -> dict | None:
    """A run's record if there is one; ValueError if it is not of the run wanted.

    Settings in `free` may be other ones. `parts`, as "validation.loss", must be there.
    """
    if not path.exists():
        return None
    found = record.read(path)
    require_run(path, found, wanted, free)
    with reading(path):
        for part in parts:
            require_part(found, part.split("."))
    if not sound(found):
        raise ValueError(
            f"{path} has a loss, an accuracy or a time that is no finite number; "
            "restore it as it was made."
        )
    return found


def require_name(path: Path, name: str) -> None:
    """ValueError if a record is not named as its run is: a copy would count twice."""
    if path.stem != name:
        raise ValueError(f"{path} is no record of a run; that run's is {name}.json.")


def same_start(one: TrainConfig, other: TrainConfig) -> bool:
    """Whether two settings differ in nothing but the length of a constant rate.

    Both then do the same at each of their common steps.
    """
    as_long = replace(one, **{name: getattr(other, name) for name in LENGTH})
    warm_ups = (given.epochs * given.warmup for given in (one, other))
    return as_long == other and math.isclose(*warm_ups) and not one.cooldown


def lengthen(run: Path, longer: Path, identity: dict) -> None:
    """Has a longer run go on where a shorter one has ended, if there is one.

    ValueError if they do not do the same until there.
    """
    state = load_state(run / "state.pt")
    if not state or load_state(longer / "state.pt"):
        return
    require_run(run, state["identity"], identity, LENGTH)
    made = record.settings(TrainConfig, "training", state["identity"])
    if not same_start(TrainConfig(**made), identity["training"]):
        raise ValueError(f"{run} holds another run than {longer} begins with.")
    whole = state | {"identity": record.plain(identity)}
    save_state(longer / "state.pt", whole)


def alone(tokenizer, lines: list[str], length: int) -> Tensor:
    """Sentences of 5 to 40 words, each by itself in a row, as one types them. (B, T).

    From short to long, since batches of similar length are scored faster.
    """
    sentences = sorted(lone_sentences(lines), key=lambda line: len(line.split()))
    return pad(encode_lines(tokenizer, sentences), length)


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
