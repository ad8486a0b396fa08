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
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from helpers import ROOT
from helpers.checkpoint import load_model, load_state, save_model
from helpers.data import encode_lines, pack
from helpers.evaluate import evaluate
from helpers.masking import evaluation_subsets
from helpers.record import tensor_digest
from helpers.train import train
from helpers.training_run import TrainingRun
from studies.dropout import LOOKS, MODELS, best
from studies.lab.command import RECORDS
from studies.lab.experiment import outcome, prepare
from studies.lab.readings import at
from studies.lab.report import markdown
from studies.lab.runs import FAST, lone_rows, score
from studies.lab.samples import sample_guesses
from studies.lab.study import Arm, Study
from studies.lab.wikitext import require_wikitext

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
HALVES = {"selection": 0, "scoring": 1}


def half(rows_BT: Tensor, name: str) -> Tensor:
    """Every second row: of a half of the validation blocks."""
    return rows_BT[HALVES[name] :: 2]


@dataclass(frozen=True)
class Fifty(Arm):
    """A kind of dropout and a recipe: fifty epochs to their end, in bfloat16."""

    dropout: str = "none"
    recipe: str = next(iter(TRIALS))

    def settings(self, seed: int) -> dict:
        """What makes a run this run, beside its text."""
        return super().settings(seed) | {"arm": self.dropout}


def arms(evaluations: int) -> dict[str, Fifty]:
    """Each kind of dropout with each recipe, scored so many times a run."""
    whole = {"epochs": float(EPOCHS), "patience": 10**6, "precision": "bfloat16"}
    recipe = replace(FAST, evaluations=evaluations, **whole)
    return {
        f"{dropout}_{name}": Fifty(model, replace(recipe, **change), dropout, name)
        for dropout, model in MODELS.items()
        for name, change in TRIALS.items()
    }


def fit(arm: Fifty, seed: int, folder: Path, part: int, keep: bool) -> tuple:
    """Trains on one of so many parts of the text; tokenizer, data, model, record.

    Early stopping sees the selection half; each evaluation also has the scoring half.
    With `keep` the weights of each epoch stay in the run's folder, in 16 bits.
    """
    _, tokenizer, data, model = prepare(arm.model, seed)
    validation = {"validation_BT": data.validation_BT, "subset_BT": data.subset_BT}
    scoring = [half(rows_BT, "scoring") for rows_BT in validation.values()]
    own = {name: half(rows_BT, "selection") for name, rows_BT in validation.items()}
    data = replace(data, stream=data.stream[: len(data.stream) // part], **own)

    def note(run: TrainingRun, entry: dict) -> None:
        """Scores the other half and keeps the weights."""
        other = evaluate(run.model, *scoring)
        entry |= {"scoring_loss": other["loss"], "scoring_accuracy": other["accuracy"]}
        if keep:
            entry["probes"] = sample_guesses(run.model, data)
        if keep and run.step:
            path = folder / f"step_{run.step:05}.safetensors"
            save_model(path, run.model, tokenizer, {"step": run.step})
        losses = f"{entry['train_loss']:.3f} {entry['validation_loss']:.3f}"
        print(f"{folder.name}: epoch {entry['epoch']:.2f}: {losses}", flush=True)

    config = arm.settings(seed)["training"]
    training = train(model, data, config, folder, 120.0, note)
    text, form = tensor_digest(data.stream), config.precision
    made = {"text": text, "number_format": form, "history": training.history}
    return tokenizer, data, model, made


def make_trial(arm: Fifty, seed: int, folder: Path) -> dict:
    """One trial of an arm's recipe."""
    run = fit(arm, seed, folder, PART, keep=False)[-1]
    return run | {"trial": arm.recipe, "best": best(run)}


def scores(model, tokenizer) -> dict:
    """Every word of both splits, a seventh hidden at a time; validation in halves.

    Sentences: of the validation text, each by itself, as one types them.
    """
    corpus, length, rows = require_wikitext(), model.config.max_length, {}
    for split in ("validation", "test"):
        ids_BT = pack(encode_lines(tokenizer, getattr(corpus, split)), length)
        rows[split] = ids_BT, evaluation_subsets(ids_BT)
    for name in HALVES:
        rows[name] = tuple(half(rows_BT, name) for rows_BT in rows["validation"])
    ids_BT, _ = lone_rows(tokenizer, corpus.validation, length)
    rows["sentences"] = ids_BT, evaluation_subsets(ids_BT)
    return {name: score(model, *pair) for name, pair in rows.items()}


def make(arm: Fifty, seed: int, folder: Path) -> dict:
    """One run of the study.

    Scored are the weights as they are saved, in 16 bits: those of the best epoch, and
    the last.
    """
    tokenizer, data, model, run = fit(arm, seed, folder, 1, keep=True)
    run |= {"recipe": arm.recipe, "best_epoch": best(run)["epoch"]}
    run |= outcome(run["history"], data, tokenizer.words)
    state = load_state(folder / "state.pt")
    weights = {"best": state["stopping"]["weights"], "last": state["model"]}
    for moment, values in weights.items():
        model.load_state_dict(values)
        path, info = folder / f"{moment}.safetensors", {"name": folder.name}
        save_model(path, model, tokenizer, info | {"moment": moment})
        run[moment] = scores(load_model(path, tokenizer)[0], tokenizer)
    return run


def choose(losses: dict[str, dict[str, float]]) -> dict[str, str]:
    """Each arm's recipe from the losses of its trials, by arm and recipe.

    This is the rule at the top of this module.
    """
    behind = {  # the best trial, in the arm where a recipe is worst
        recipe: max(arm[recipe] - min(arm.values()) for arm in losses.values())
        for recipe in TRIALS
    }
    total = {r: sum(arm[r] for arm in losses.values()) for r in TRIALS}
    if shared := [recipe for recipe in TRIALS if behind[recipe] <= NEAR]:
        return dict.fromkeys(losses, min(shared, key=total.get))
    return {arm: min(trials, key=trials.get) for arm, trials in losses.items()}


def trials_table() -> str:
    """The loss with which each trial counts as a Markdown table, a row a recipe."""
    losses, rows = trial_losses([*MODELS]), []
    for recipe, change in TRIALS.items():
        share = change["learning_rate"] / FAST.learning_rate
        cells = (f"{trials[recipe]:.3f}" for trials in losses.values())
        rows.append([f"{share:g}", f"{change['weight_decay']:g}", *cells])
    names = (LOOKS[kind][0] for kind in losses)
    return markdown(["Share of the fast rates", "Weight decay", *names], rows)


def trial_losses(kinds: list[str]) -> dict[str, dict[str, float]]:
    """The loss with which each trial counts, by kind of dropout and recipe."""
    losses = {kind: {} for kind in kinds}
    for kind, recipe in itertools.product(kinds, TRIALS):
        run = OF_TRIALS.run(f"{kind}_{recipe}", TRIAL_SEED)
        losses[kind][recipe] = run["best"]["validation_loss"]
    return losses


STUDY = Study(
    "fifty",
    "Train the arms for fifty epochs, resumable; runs whose record exists are skipped.",
    folder=RECORDS / "fifty",
    states=ROOT / "runs" / "fifty",
    arms=arms(EPOCHS),
    make=make,
    alike=("text", "number_format"),
    readings={
        "best": at("best.scoring.loss"),
        "last": at("last.scoring.loss"),
        "best_epoch": at("best_epoch"),
    },
)
TRIAL = {"make": make_trial, "pattern": "trial_{arm}", "seeds": [TRIAL_SEED]}
OF_TRIALS = replace(STUDY, arms=arms(EPOCHS // 2), **TRIAL)


def main(arguments: list[str] | None = None) -> None:
    """Makes trials and names the chosen recipes; or makes runs with one; or reports."""
    parser = STUDY.parser(MODELS)
    parser.add_argument("--recipe", choices=TRIALS, help="train with this recipe")
    parser.add_argument("--trials", action="store_true", help="make the trials")
    given = parser.parse_args(arguments)
    if [bool(given.recipe), given.trials, given.summary].count(True) != 1:
        parser.error("choose one of --recipe, --trials and --summary.")
    with parser.one_sentence():
        torch.set_num_threads(1)
        if given.trials:
            names = [f"{arm}_{recipe}" for recipe in TRIALS for arm in given.arms]
            OF_TRIALS.make_missing(names, OF_TRIALS.seeds, given.processes)
            print(choose(trial_losses(given.arms)))
        elif given.recipe:
            names = [f"{arm}_{given.recipe}" for arm in given.arms]
            STUDY.make_missing(names, given.seeds, given.processes)
        if not given.trials:
            STUDY.report()


if __name__ == "__main__":
    main()
