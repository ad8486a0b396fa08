"""What a model says at a few words in the phases of its training."""

from collections.abc import Callable
from operator import itemgetter

import torch
from torch import Tensor

from helpers.data import TrainingData
from helpers.model import shallow_model_copy
from helpers.tokenizer import MASK
from studies.lab.tables import markdown_table

CONTEXT = 6  # words shown on each side of a probed word
SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_|<>$[]~"})  # in Markdown


@torch.no_grad()
def sample_guesses(model, data: TrainingData, count: int = 8) -> list[dict]:
    """Predictions at a few validation words that stay the same throughout a training.

    Takes `count` blocks at equal distances and, of the masked words of each, the middle
    one. Returns for each the block, the position, and the top id with its probability.
    """
    model, device = shallow_model_copy(model).eval(), next(model.parameters()).device
    rows = torch.linspace(0, len(data.validation_BT) - 2, count, device="cpu").long()
    probes = []
    for row in rows.unique().tolist():
        hidden_T = data.subset_BT[row] == 0
        if not len(positions := hidden_T.nonzero().squeeze(1)):
            continue
        at_BM = positions[len(positions) // 2].view(1, 1)
        inputs_BT = data.validation_BT[row].masked_fill(hidden_T, MASK)[None]
        with torch.autocast(device.type, enabled=False):
            logits_BMV = model(inputs_BT.to(device), at_BM.to(device))
        p, best = logits_BMV[0, 0].softmax(-1).max(-1)
        place = {"block": row, "position": at_BM.item()}
        probes.append(place | {"predicted": best.item(), "p": p.item()})
    return probes


def sampling(data: TrainingData) -> Callable:
    """Adds the probes to each entry of a training's history: for `on_evaluation`."""
    return lambda run, entry: entry.update(probes=sample_guesses(run.model, data))


def phases_to_sample(history: list[dict], unigram_loss: float) -> dict[str, dict]:
    """The evaluations that stand for the phases of a training.

    start: the first; plateau: of the others, the one nearest to the unigram loss;
    after: the first of them at least 1 nat below it; end: the one of lowest validation
    loss. A phase that was never reached is missing.
    """
    loss, later = itemgetter("validation_loss"), history[1:] or history
    plateau = min(later, key=lambda entry: abs(loss(entry) - unigram_loss))
    chosen = {"start": history[0], "plateau": plateau}
    if below := [entry for entry in later if loss(entry) < unigram_loss - 1]:
        chosen["after"] = below[0]
    return chosen | {"end": min(history, key=loss)}


def phase_sample(phase: str, entry: dict, places: list[dict], words: list[str]) -> dict:
    """What one evaluation predicts at its probed places, each with its context."""
    return {
        "phase": phase,
        "step": entry["step"],
        "most_predicted": words[entry["most_predicted"]],
        "most_predicted_share": entry["most_predicted_share"],
        "predictions": [
            place | {"pred": words[probe["predicted"]], "p": probe["p"]}
            for place, probe in zip(places, entry["probes"], strict=True)
        ],
    }


def sampled_phases(
    history: list[dict], unigram_loss: float, blocks_BT: Tensor, words: list[str]
) -> list[dict]:
    """The true word and the prediction at the same places, one entry a phase."""
    places = []
    for probe in history[0]["probes"]:
        text = [words[i] for i in blocks_BT[probe["block"]].tolist()]
        at = probe["position"]
        left, right = text[max(0, at - CONTEXT) : at], text[at + 1 : at + 1 + CONTEXT]
        places.append({"left": left, "right": right, "true": text[at]})
    phased = phases_to_sample(history, unigram_loss).items()
    return [phase_sample(phase, entry, places, words) for phase, entry in phased]


def samples_table(phases: list[dict]) -> str:
    """The same masked words at each phase of training, as a Markdown table.

    A tick and bold letters mark what is right, a cross what is wrong. The last row is
    the word predicted most often over all masked words, with its share.
    """

    def guess(word: str, share: float) -> str:
        return f"{word.translate(SPECIAL)} {share:.0%}"

    def told(answer: dict) -> str:
        word = guess(answer["pred"], answer["p"])
        return f"✓ **{word}**" if answer["pred"] == answer["true"] else f"✗ {word}"

    titles = [f"{phase['phase']}, step {phase['step']:,}" for phase in phases]
    rows = []
    for answers in zip(*(phase["predictions"] for phase in phases), strict=True):
        left, right, true = (answers[0][key] for key in ("left", "right", "true"))
        context = " ".join([*left[-4:], f"[{true}]", *right[:3]])
        rows.append([context.translate(SPECIAL), *map(told, answers)])
    often = [guess(p["most_predicted"], p["most_predicted_share"]) for p in phases]
    rows.append(["*predicted most often, over all masked words*", *often])
    return markdown_table(["The masked word in its context", *titles], rows)
