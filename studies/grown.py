"""A model of the series' sizes that is trained longer, and grown from half its depth.

`python -m studies.grown --help`. A model of two layers is trained first, at a constant
rate; its layers are then stacked twice (Gong et al. 2019, section 3), and all four go
on while the rate falls to 0. Rates and weight decay are those that `studies.fifty`
chose without dropout. Left out: averages of weights and of models.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from helpers import ROOT
from helpers.checkpoint import load_model, save_model
from helpers.masking import eligible
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import tensor_digest
from helpers.train import train
from studies.fifty import TRIALS, fifty_scores
from studies.lab.command import RECORDS
from studies.lab.experiment import prepare_experiment
from studies.lab.report import markdown_table
from studies.lab.runs import FAST, score
from studies.lab.samples import sample_guesses
from studies.lab.study import Arm, Study, StudyResults

FORMAT = {"precision": "bfloat16", "patience": 10**6}  # no early stopping
RECIPE = replace(FAST, **TRIALS["rates_0.5_decay_0.4"], **FORMAT, mask_rate=0.4)
SHALLOW = replace(RECIPE, epochs=16.0, cooldown=0.0, last_mask_rate=0.4, evaluations=4)
DEEP = replace(RECIPE, epochs=20.0, warmup=0.02, cooldown=0.98, last_mask_rate=0.15)

SCORED = {
    "validation": "validation text, a seventh of its words at a time",
    "one_at_a_time": "validation text, one word of a row at a time",
    "sentences": "validation sentences, each alone, a seventh at a time",
    "test": "test text, a seventh of its words at a time",
}


@dataclass(frozen=True)
class GrownArm(Arm):
    """A model that is trained at half its depth first."""

    training: TrainConfig = replace(DEEP, evaluations=10)
    shallow: TrainConfig = SHALLOW

    def settings(self, seed: int) -> dict:
        """What makes a run this run, beside its text."""
        return super().settings(seed) | {"shallow": replace(self.shallow, seed=seed)}


def grow_layers(model: MaskedLanguageModel) -> MaskedLanguageModel:
    """A model of twice the depth: its layers, then a copy of each in the same order."""
    config, depth = model.config, model.config.n_layers
    twice = OrderedDict(model.state_dict())
    for name, value in model.state_dict().items():
        if name.startswith("blocks."):
            _, number, rest = name.split(".", 2)
            twice[f"blocks.{int(number) + depth}.{rest}"] = value
    deep = MaskedLanguageModel(replace(config, n_layers=2 * depth))
    deep.load_state_dict(twice)
    return deep.to(next(model.parameters()).device)


def score_one_at_a_time(model, ids_BT) -> dict:
    """Scores every word with all other words in sight, as the explorer asks."""
    position_T = torch.arange(ids_BT.shape[1]).expand(ids_BT.shape)
    subset_BT = torch.where(eligible(ids_BT), position_T, -1)
    return score(model, ids_BT, subset_BT, range(ids_BT.shape[1]))


def make_grown_run(arm: GrownArm, seed: int, folder: Path) -> dict:
    """Trains, stacks, trains and scores, as saved in 16 bits."""
    first = replace(arm.model, n_layers=arm.model.n_layers // 2)
    corpus, tokenizer, data, model = prepare_experiment(first, seed)

    def note(run, entry: dict) -> None:
        """Adds a few guesses and prints a line."""
        entry["probes"] = sample_guesses(run.model, data)
        losses = f"{entry['train_loss']:.3f} {entry['validation_loss']:.3f}"
        print(f"epoch {entry['epoch']:.2f}: {losses}", flush=True)

    configs = arm.settings(seed)
    shallow = train(model, data, configs["shallow"], folder / "shallow", 120.0, note)
    model = grow_layers(model)
    deep = train(model, data, configs["training"], folder / "deep", 120.0, note)
    path = folder / "grown.safetensors"
    info = {"name": "grown", "corpus": corpus.name, "seed": seed}
    save_model(path, model, tokenizer, info)
    model, *_ = load_model(path, tokenizer)
    return {
        "text": tensor_digest(data.stream),
        "number_format": RECIPE.precision,
        "shallow_history": shallow.history,
        "history": deep.history,
        **fifty_scores(model, tokenizer),
        "one_at_a_time": score_one_at_a_time(model, data.validation_BT),
    }


def grown_table(results: StudyResults) -> str:
    """The scores of the model as a Markdown table, a row for each way to score it."""
    scored, rows = next(iter(results.runs["grown"].values())), []
    for key, how in SCORED.items():
        words, loss, right = (scored[key][k] for k in ("words", "loss", "accuracy"))
        rows.append([how, f"{words:,}", f"{loss:.3f}", f"{100 * right:.1f} %"])
    return markdown_table(["Text and words hidden", "Words", "Loss", "Right"], rows)


STUDY = Study(
    "grown",
    "Train a model that grows, resumable; a run whose record exists is skipped.",
    folder=RECORDS / "grown",
    states=ROOT / "runs",
    arms={"grown": GrownArm(ModelConfig())},
    seeds=range(1),
    make=make_grown_run,
    readings={},
    table=grown_table,
)
main = STUDY.main

if __name__ == "__main__":
    main()
