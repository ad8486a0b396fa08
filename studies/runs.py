"""What the runs of several studies need: less to score, a whole score, more steps."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from helpers.checkpoint import load_state, save_state
from helpers.evaluate import TrainingData, evaluate


def whole_score(model, ids_BT: Tensor, subset_BT: Tensor) -> dict:
    """Loss and accuracy with every word of all seven subsets predicted once."""
    score = evaluate(model, ids_BT, subset_BT, subsets=range(7))
    return {key: score[key] for key in ("loss", "accuracy", "words")}


def fewer(data: TrainingData, blocks: int) -> TrainingData:
    """The same data with less to score, for runs that are scored often.

    Keeps `blocks` validation blocks and an eighth as many of the training text, at
    equal distances.
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


def lengthen(run: Path, longer: Path, identity: dict) -> None:
    """Has a longer run go on where a shorter one of the same settings has ended.

    Both must do the same at each of their common steps, so the rate may not depend on
    how many are to come. Without a state of `run`, or with one of `longer`, nothing.
    """
    state = load_state(run / "state.pt")
    if state and not (longer / "state.pt").exists():
        save_state(longer / "state.pt", state | {"identity": identity})
