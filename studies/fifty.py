"""Dropout where a model overfits, if it does: fifty epochs, three arms, paired seeds.

`python -m studies.fifty --help`. The rules below were written before the first run.

Halves. Every second validation block belongs to the *selection* half, the others to the
*scoring* half. Recipes and best epochs are chosen by the first alone and reported on
the second alone, because a loss that was chosen as the lowest of fifty is flattered.

Recipe. Each arm has the same trials: all of `TRIALS`, on the first quarter of the
training text, in fifty passes, with a seed that the study does not use. A trial counts
with the lowest loss of its curve on the selection half. A recipe within `NEAR` nats of
the best trial of each arm is taken for all arms; of several, the one with the lowest
mean; if there is none, each arm has its own best.

Study. Fifty epochs without stopping; the whole curve is recorded. The hypothesis is
that dropout lowers the loss of a model that overfits. It is read on the scoring half,
as the paired difference of an arm to the one without dropout, at each arm's best epoch
(of the selection half) and at epoch fifty.
"""

import itertools
from dataclasses import replace

import torch
from torch import Tensor

from helpers import ROOT, record
from helpers.checkpoint import load_model, load_state, save_model
from helpers.corpus import require_wikitext
from helpers.data import encode_lines, pack
from helpers.evaluate import evaluate, unigram
from helpers.masking import evaluation_subsets
from helpers.run import TrainingRun
from helpers.train import train
from studies.dropout import ARMS
from studies.lab.command import SEED, command
from studies.lab.experiment import prepare
from studies.lab.runs import FAST, lone_rows, read_run, score_all

EPOCHS, TRIAL_SEED, PART, NEAR = 50, 100, 4, 0.01  # PART: a trial has 1/4 of the text
TRIALS = {  # how the recipe of a trial differs from the fast one
    f"rates_{share:g}_decay_{decay:g}": {
        "learning_rate": FAST.learning_rate * share,
        "muon_rate": FAST.muon_rate * share,
        "weight_decay": decay,
    }
    for share in (1.0, 0.5)
    for decay in (0.1, 0.4)
}
RECORDS = ROOT / "plots" / "records" / "fifty"
HALVES = {"selection": 0, "scoring": 1}


def half(rows_BT: Tensor, name: str) -> Tensor:
    """Every second row: of a half of the validation blocks."""
    return rows_BT[HALVES[name] :: 2]


def configuration(trial: str, seed: int, evaluations: int):
    """A run's settings: a recipe, fifty epochs to their end, and bfloat16."""
    return replace(
        FAST,
        epochs=float(EPOCHS),
        evaluations=evaluations,
        patience=10**6,
        precision="bfloat16",
        seed=seed,
        **TRIALS[trial],
    )


def fit(name: str, arm: str, config, part: int, keep: bool) -> tuple:
    """Trains a model, resumable; returns its identity, the history and the run's state.

    Early stopping sees the selection half; each evaluation also has the scoring half.
    With `keep` the weights of each epoch stay in the run's folder, in 16 bits.
    """
    _, tokenizer, data, model = prepare(ARMS[arm], config.seed)
    whole_BT, subset_BT = data.validation_BT, data.subset_BT
    data = replace(
        data,
        stream=data.stream[: len(data.stream) // part],
        validation_BT=half(whole_BT, "selection"),
        subset_BT=half(subset_BT, "selection"),
    )
    other = half(whole_BT, "scoring"), half(subset_BT, "scoring")
    folder = ROOT / "runs" / "fifty" / name

    def note(run: TrainingRun) -> None:
        """Scores the other half and keeps the weights."""
        entry, score = run.history[-1], evaluate(run.model, *other)
        entry |= {"scoring_loss": score["loss"], "scoring_accuracy": score["accuracy"]}
        if keep and run.step:
            path = folder / f"step_{run.step:05}.safetensors"
            save_model(path, run.model, tokenizer, {"step": run.step})
        losses = f"{entry['train_loss']:.3f} {entry['validation_loss']:.3f}"
        print(f"{name}: epoch {entry['epoch']:.2f}: {losses}", flush=True)

    text = record.digest(data.stream)
    settings = {"model": model.config, "training": config}
    identity = {"arm": arm, "seed": config.seed, **settings, "text": text}
    target = RECORDS / f"{name}.json"
    if found := read_run(target, identity):
        return found, None, None, target
    history = train(model, data, config, folder, 120.0, note)
    found = {"name": name, "hardware": record.hardware(), **record.plain(identity)}
    found |= {"number_format": config.precision, "history": history}
    return found, (model, tokenizer, data), load_state(folder / "state.pt"), target


def trial(arm: str, name: str) -> dict:
    """One trial of an arm's recipe, resumable; its record if that exists."""
    config = configuration(name, TRIAL_SEED, EPOCHS // 2)
    run_name = f"trial_{arm}_{name}"
    found, trained, _, target = fit(run_name, arm, config, PART, keep=False)
    if trained:
        for entry in found["history"]:
            del entry["probes"]
        best = min(found["history"], key=lambda entry: entry["validation_loss"])
        record.write(target, found | {"trial": name, "best": best})
    return found


def choose(losses: dict[str, dict[str, float]]) -> dict[str, str]:
    """Each arm's recipe from the losses of its trials, by arm and recipe.

    This is the rule at the top of this module.
    """
    best = {arm: min(found.values()) for arm, found in losses.items()}

    def behind(recipe: str) -> float:
        """How far a recipe is behind the best trial, in the arm where it is worst."""
        return max(found[recipe] - best[arm] for arm, found in losses.items())

    shared = [recipe for recipe in TRIALS if behind(recipe) <= NEAR]
    if shared:
        mean = {r: sum(found[r] for found in losses.values()) for r in shared}
        return dict.fromkeys(losses, min(mean, key=mean.get))
    return {arm: min(found, key=found.get) for arm, found in losses.items()}


def scores(model, tokenizer, corpus) -> dict:
    """Every word of both splits, a seventh hidden at a time; validation in halves.

    Sentences: of the validation text, each by itself, as one types them.
    """
    length = model.config.max_length
    found = {}
    for split in ("validation", "test"):
        ids_BT = pack(encode_lines(tokenizer, getattr(corpus, split)), length)
        subset_BT = evaluation_subsets(ids_BT)
        found[split] = score_all(model, ids_BT, subset_BT)
        for name in HALVES if split == "validation" else ():
            rows = half(ids_BT, name), half(subset_BT, name)
            found[name] = score_all(model, *rows)
    ids_BT = lone_rows(tokenizer, corpus.validation, length)
    found["sentences"] = score_all(model, ids_BT, evaluation_subsets(ids_BT))
    return found


def run(arm: str, seed: int, recipe: str) -> dict:
    """One run of the study, resumable; its record if that exists.

    Scored are the weights as they are saved, in 16 bits: those of the best epoch, and
    the last.
    """
    name = f"{arm}_{recipe}_seed_{seed}"
    config = configuration(recipe, seed, EPOCHS)
    found, trained, state, target = fit(name, arm, config, 1, keep=True)
    if not trained:
        return found
    model, tokenizer, data = trained
    history, corpus = found["history"], require_wikitext()
    best = min(history, key=lambda entry: entry["validation_loss"])
    found |= {"recipe": recipe, "best_epoch": best["epoch"]}
    weights = {"best": state["stopping"]["weights"], "last": state["model"]}
    for moment, values in weights.items():
        model.load_state_dict(values)
        path = ROOT / "runs" / "fifty" / name / f"{moment}.safetensors"
        save_model(path, model, tokenizer, {"name": name, "moment": moment})
        found[moment] = scores(load_model(path, tokenizer)[0], tokenizer, corpus)
    selection = data.validation_BT, data.subset_BT
    found["unigram_loss"] = unigram(data.stream, *selection, len(tokenizer))["loss"]
    found["samples"] = record.samples(
        history, found["unigram_loss"], data.validation_BT, tokenizer.words
    )
    record.write(target, found)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing."""
    parser = command(
        "fifty",
        "Train the arms for fifty epochs, resumable; runs whose record exists are "
        "skipped.",
    )
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=SEED, default=[0, 1, 2])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--recipe", choices=TRIALS, help="train with this recipe")
    what.add_argument("--trials", action="store_true", help="make the trials")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        require_wikitext()
        torch.set_num_threads(1)
        if given.trials:
            for name, arm in itertools.product(TRIALS, given.arms):
                trial(arm, name)
        else:
            for seed, arm in itertools.product(given.seeds, given.arms):
                run(arm, seed, given.recipe)


if __name__ == "__main__":
    main()
