"""Dropout where a model overfits, if it does: fifty epochs, three arms, paired seeds.

`python -m studies.fifty --help`. The rules, written before the first run, stand in
studies/fifty.md: one half of the validation blocks chooses recipes and epochs, and the
other is reported, since a loss that was chosen as the lowest of fifty is flattered.
"""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from helpers import ROOT
from helpers.checkpoint import load_model, save_model
from helpers.evaluate import evaluate
from helpers.record import tensor_digest
from helpers.resume import load_state
from helpers.tokenizer import WordTokenizer
from helpers.train import TrainingRun, train
from studies.dropout import LOOKS, MODELS
from studies.lab.experiment import (
    best_evaluation,
    experiment_outcome,
    prepare_experiment,
)
from studies.lab.runs import FAST, RECORDS
from studies.lab.samples import sample_guesses
from studies.lab.scored_text import (
    require_wikitext,
    score,
    score_sentences,
    score_singly,
    scored_blocks,
)
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table
from studies.shipped import shipped_median_run

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
HALVES = {"selection": slice(0, None, 2), "scoring": slice(1, None, 2)}  # of blocks


@dataclass(frozen=True)
class FiftyArm(Arm):
    """A kind of dropout and a recipe: fifty epochs to their end, in bfloat16."""

    dropout: str = "none"
    recipe: str = next(iter(TRIALS))

    def settings(self, seed: int) -> dict:
        """What makes a run this run, beside its text."""
        return super().settings(seed) | {"arm": self.dropout}


def fifty_arms(evaluations: int) -> dict[str, FiftyArm]:
    """Each kind of dropout with each recipe, scored so many times a run."""
    whole = {"epochs": float(EPOCHS), "patience": 10**6, "precision": "bfloat16"}
    recipe = replace(FAST, evaluations=evaluations, **whole)
    return {
        f"{dropout}_{name}": FiftyArm(model, replace(recipe, **change), dropout, name)
        for dropout, model in MODELS.items()
        for name, change in TRIALS.items()
    }


def fit_fifty(arm: FiftyArm, seed: int, folder: Path, part: int = 1) -> tuple:
    """Trains on one of so many parts of the text; tokenizer, data, model, record.

    Early stopping sees the selection half; each evaluation also has the scoring half
    and, on the whole text, what the model says at a few words.
    """
    _, tokenizer, data, model = prepare_experiment(arm.model, seed)
    blocks = data.validation_BT, data.subset_BT
    scoring = [rows_BT[HALVES["scoring"]] for rows_BT in blocks]
    ids_BT, subset_BT = (rows_BT[HALVES["selection"]] for rows_BT in blocks)
    stream = data.stream[: len(data.stream) // part]
    data = replace(data, stream=stream, validation_BT=ids_BT, subset_BT=subset_BT)

    def note(run: TrainingRun, entry: dict) -> None:
        other = evaluate(run.model, *scoring)
        entry |= {"scoring_loss": other["loss"], "scoring_accuracy": other["accuracy"]}
        if part == 1:
            entry["probes"] = sample_guesses(run.model, data)
        losses = f"{entry['train_loss']:.3f} {entry['validation_loss']:.3f}"
        print(f"{folder.name}: epoch {entry['epoch']:.2f}: {losses}", flush=True)

    config = arm.settings(seed)["training"]
    training = train(model, data, config, folder, 120.0, note)
    text, form = tensor_digest(data.stream), config.precision
    made = {"text": text, "number_format": form, "history": training.history}
    return tokenizer, data, model, made


def make_fifty_trial(arm: FiftyArm, seed: int, folder: Path) -> dict:
    """One trial of an arm's recipe."""
    run = fit_fifty(arm, seed, folder, PART)[-1]
    return run | {"trial": arm.recipe, "best": best_evaluation(run["history"])}


def fifty_scores(model, tokenizer) -> dict:
    """Every word of both splits, a seventh hidden at a time; validation in halves.

    Sentences: of the validation text, each by itself, as one types them. Singly: a
    fifth of the words of the scoring half, each the only one hidden in its block.
    """
    corpus, length = require_wikitext(), model.config.max_length
    rows = {
        split: scored_blocks(tokenizer, getattr(corpus, split), length)
        for split in ("validation", "test")
    }
    for name, half in HALVES.items():
        rows[name] = tuple(rows_BT[half] for rows_BT in rows["validation"])
    scores = {name: score(model, *pair) for name, pair in rows.items()}
    scores["sentences"] = score_sentences(model, tokenizer, corpus.validation)
    return scores | {"singly": score_singly(model, *rows["scoring"], every=5)}


def make_fifty_run(arm: FiftyArm, seed: int, folder: Path) -> dict:
    """One run of the study.

    The weights are scored as saved, in 16 bits: those of the best epoch and of the
    last, which may be the same.
    """
    tokenizer, data, model, run = fit_fifty(arm, seed, folder)
    best = best_evaluation(run["history"])
    run |= {"recipe": arm.recipe, "best_epoch": best["epoch"]}
    run |= experiment_outcome(run["history"], data, tokenizer.words)
    state = load_state(folder / "state.pt")
    weights = {"best": state["stopping"]["weights"], "last": state["model"]}
    for moment, values in weights.items():
        model.load_state_dict(values)
        path, info = folder / f"{moment}.safetensors", {"moment": moment, "seed": seed}
        info |= {"name": folder.name, "corpus": require_wikitext().name}
        save_model(path, model, tokenizer, info)
        if moment == "last" and best is run["history"][-1]:
            run["last"] = run["best"]
        else:
            run[moment] = fifty_scores(load_model(path, tokenizer)[0], tokenizer)
    return run


def ship_fifty(results: StudyResults) -> None:
    """Copies the best weights of a run without dropout to weights/fifty.safetensors.

    It has the trials' recipe and the seed of median loss; ValueError if there is none.
    """
    recipe = choose_fifty_recipe(fifty_trial_losses([*MODELS]))["none"]
    if not (runs := results.runs.get(f"none_{recipe}")):
        raise ValueError(f"No runs without dropout; make one with --recipe {recipe}.")
    run = shipped_median_run(runs.values(), results.study.readings["best"])
    shipped = ROOT / "weights" / "fifty.safetensors"
    tokenizer = WordTokenizer.load(shipped.with_name("vocabulary.json"))
    best = results.study.states / run["name"] / "best.safetensors"
    model, _, info = load_model(best, tokenizer)
    save_model(shipped, model, tokenizer, info | {"name": "fifty", "run": run["name"]})


def choose_fifty_recipe(losses: dict[str, dict[str, float]]) -> dict[str, str]:
    """Each arm's recipe from the losses of its trials, by arm and recipe.

    One within `NEAR` nats of the best trial of each arm is taken for all; of several,
    the one with the lowest mean; if there is none, each arm has its own best.
    """
    behind = {  # the best trial, in the arm where a recipe is worst
        recipe: max(arm[recipe] - min(arm.values()) for arm in losses.values())
        for recipe in TRIALS
    }
    total = {r: sum(arm[r] for arm in losses.values()) for r in TRIALS}
    if shared := [recipe for recipe in TRIALS if behind[recipe] <= NEAR]:
        return dict.fromkeys(losses, min(shared, key=total.get))
    return {arm: min(trials, key=trials.get) for arm, trials in losses.items()}


def fifty_trials_table() -> str:
    """The loss with which each trial counts as a Markdown table, a row a recipe."""
    losses, rows = fifty_trial_losses([*MODELS]), []
    for recipe, change in TRIALS.items():
        share = change["learning_rate"] / FAST.learning_rate
        cells = (f"{trials[recipe]:.3f}" for trials in losses.values())
        rows.append([f"{share:g}", f"{change['weight_decay']:g}", *cells])
    names = (LOOKS[kind][0] for kind in losses)
    return markdown_table(["Share of the fast rates", "Weight decay", *names], rows)


def fifty_trial_losses(kinds: list[str]) -> dict[str, dict[str, float]]:
    """The loss with which each trial counts, by kind of dropout and recipe."""
    losses = {kind: {} for kind in kinds}
    for kind, recipe in itertools.product(kinds, TRIALS):
        run = TRIAL_STUDY.run(f"{kind}_{recipe}", TRIAL_SEED)
        losses[kind][recipe] = run["best"]["validation_loss"]
    return losses


STUDY = Study(
    "fifty",
    "Train the arms for fifty epochs, resumable; runs whose record exists are skipped.",
    folder=RECORDS / "fifty",
    states=ROOT / "runs" / "fifty",
    arms=fifty_arms(EPOCHS),
    make=make_fifty_run,
    alike=("text", "number_format"),
    readings={
        "best": lambda run: run["best"]["scoring"]["loss"],
        "last": lambda run: run["last"]["scoring"]["loss"],
        "best_epoch": lambda run: run["best_epoch"],
    },
)
TRIAL = {"make": make_fifty_trial, "pattern": "trial_{arm}", "seeds": [TRIAL_SEED]}
TRIAL_STUDY = replace(STUDY, arms=fifty_arms(EPOCHS // 2), **TRIAL)


def main(arguments: list[str] | None = None) -> None:
    """Makes trials and names the chosen recipes, makes runs, ships, or reports."""
    parser = STUDY.parser(MODELS)
    parser.add_argument("--recipe", choices=TRIALS, help="train with this recipe")
    parser.add_argument("--trials", action="store_true", help="make the trials")
    parser.add_argument("--ship", action="store_true", help="replace shipped weights")
    given = parser.parse_args(arguments)
    chosen = bool(given.recipe), given.trials, given.ship, given.summary
    if chosen.count(True) != 1:
        parser.error("choose one of --recipe, --trials, --ship and --summary.")
    with parser.one_sentence():
        torch.set_num_threads(1)
        if given.trials:
            names = [f"{arm}_{recipe}" for recipe in TRIALS for arm in given.arms]
            TRIAL_STUDY.make_missing(names, TRIAL_STUDY.seeds, given.processes)
            print(choose_fifty_recipe(fifty_trial_losses(given.arms)))
        elif given.recipe:
            names = [f"{arm}_{given.recipe}" for arm in given.arms]
            STUDY.make_missing(names, given.seeds, given.processes)
        elif given.ship:
            ship_fifty(STUDY.results())
        if not given.trials:
            STUDY.report()


if __name__ == "__main__":
    main()
