"""What a model says at a few words in the phases of its training."""

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


def samples(history, unigram_loss, validation_BT, words: list[str]) -> list[dict]:
    """The true word and the prediction at the same places, one entry a phase."""
    table = []
    for phase, entry in phases(history, unigram_loss).items():
        predictions = []
        for probe in entry["probes"]:
            ids, at = validation_BT[probe["block"]].tolist(), probe["position"]
            left = [words[i] for i in ids[max(0, at - CONTEXT) : at]]
            right = [words[i] for i in ids[at + 1 : at + 1 + CONTEXT]]
            predictions.append(
                {"left": left, "right": right, "true": words[ids[at]]}
                | {"pred": words[probe["predicted"]], "p": probe["p"]}
            )
        table.append(
            {"phase": phase, "step": entry["step"]}
            | {"most_predicted": words[entry["most_predicted"]]}
            | {"most_predicted_share": entry["most_predicted_share"]}
            | {"predictions": predictions}
        )
    return table
