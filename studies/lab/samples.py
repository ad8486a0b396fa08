"""What a model says at a few words in the phases of its training."""

from torch import Tensor

CONTEXT = 6  # words shown on each side of a probed word


def phases(history: list[dict], unigram_loss: float) -> dict[str, dict]:
    """The evaluations that stand for the phases of a training.

    start: the first; plateau: of the others, the one nearest to the unigram loss;
    after: the first of them at least 1 nat below it; end: the one of lowest validation
    loss. A phase that was never reached is missing.
    """

    def loss(entry: dict) -> float:
        return entry["validation_loss"]

    later = history[1:] or history
    plateau = min(later, key=lambda entry: abs(loss(entry) - unigram_loss))
    below = [entry for entry in later if loss(entry) < unigram_loss - 1]
    after = {"after": below[0]} if below else {}
    end = min(history, key=loss)
    return {"start": history[0], "plateau": plateau} | after | {"end": end}


def said(phase: str, entry: dict, places: list[dict], words: list[str]) -> dict:
    """What one evaluation predicts at its probed places, each with its context."""
    probes = zip(places, entry["probes"], strict=True)
    return {
        "phase": phase,
        "step": entry["step"],
        "most_predicted": words[entry["most_predicted"]],
        "most_predicted_share": entry["most_predicted_share"],
        "predictions": [
            place | {"pred": words[probe["predicted"]], "p": probe["p"]}
            for place, probe in probes
        ],
    }


def samples(
    history: list[dict], unigram_loss: float, blocks_BT: Tensor, words: list[str]
) -> list[dict]:
    """The true word and the prediction at the same places, one entry a phase."""
    places = []
    for probe in history[0]["probes"]:
        text = [words[i] for i in blocks_BT[probe["block"]].tolist()]
        at = probe["position"]
        left, right = text[max(0, at - CONTEXT) : at], text[at + 1 : at + 1 + CONTEXT]
        places.append({"left": left, "right": right, "true": text[at]})
    phased = phases(history, unigram_loss).items()
    return [said(phase, entry, places, words) for phase, entry in phased]
