"""Dropout where a model overfits, if it does: fifty epochs, three arms, paired seeds.

`python -m studies.fifty --help`. The rules stand in studies/fifty.md: one half of the
validation blocks chooses the best epoch, and the other is reported, since a loss
that was chosen as the lowest of fifty is flattered. Two more models have no dropout:
one has masks that become fewer, and one is trained for twice as long.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from helpers import ROOT
from helpers.checkpoint import load_model, save_model
from helpers.evaluate import evaluate
from helpers.record import tensor_digest
from helpers.resume import load_state
from helpers.train import TrainingRun, train
from studies.dropout import LOOKS, MODELS, READINGS, dropout_figure, dropout_table
from studies.lab import experiment, scored_text
from studies.lab.machine import DEVICE
from studies.lab.runs import FAST, RECORDS
from studies.lab.samples import sample_guesses
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table
from studies.shipped import SHIPPED, ship_models, shipped_figure

EPOCHS, TRIAL_SEED, PART = 50, 100, 4  # a trial has one of so many parts of the text
WHOLE = replace(
    FAST, epochs=float(EPOCHS), patience=10**6, precision="bfloat16", evaluations=EPOCHS
)
TRIALS = {  # how the recipe of a trial differs from the fast one
    f"rates_{share:g}_decay_{decay:g}": {
        "learning_rate": FAST.learning_rate * share,
        "muon_rate": FAST.muon_rate * share,
        "weight_decay": decay,
    }
    for share in (1.0, 0.5)
    for decay in (0.1, 0.4)
}
RECIPE = next(iter(TRIALS))  # that of all arms, which is the fast one
HALVES = {"selection": slice(0, None, 2), "scoring": slice(1, None, 2)}  # of blocks


@dataclass(frozen=True)
class FiftyArm(Arm):
    """A trial of a recipe; its record says which kind of model it is of."""

    kind: str = "none"

    def settings(self, seed: int) -> dict:
        """What makes a run this run, beside its text."""
        return super().settings(seed) | {"arm": self.kind}


KINDS = {kind: Arm(model, WHOLE) for kind, model in MODELS.items()} | {
    "falling_masks": Arm(training=replace(WHOLE, mask_rate=0.4, last_mask_rate=0.15)),
    "longer": Arm(training=replace(WHOLE, epochs=2.0 * EPOCHS, evaluations=2 * EPOCHS)),
}


def fifty_trials() -> dict[str, FiftyArm]:
    """Each model with each recipe, scored half as often as in a run."""
    often = {"evaluations": EPOCHS // 2}
    return {
        f"{kind}_{name}": FiftyArm(model, replace(WHOLE, **often, **change), kind)
        for kind, model in MODELS.items()
        for name, change in TRIALS.items()
    }


def fit_fifty(arm: Arm, seed: int, folder: Path, part: int = 1) -> tuple:
    """Trains on one of so many parts of the text; tokenizer, data, model, record.

    Early stopping sees the selection half; each evaluation also has the scoring half
    and, on the whole text, what the model says at a few words.
    """
    _, tokenizer, data, model = experiment.prepare_experiment(arm.model, seed)
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
    return run | {"best": experiment.best_evaluation(run["history"])}


def fifty_scores(model, tokenizer) -> dict:
    """Every word of both splits, a seventh hidden at a time; validation in halves.

    Sentences: of the validation text, each by itself, as one types them. Singly: a
    fifth of the words of the scoring half, each the only one hidden in its block.
    """
    corpus, length = scored_text.require_wikitext(), model.config.max_length
    rows = {
        split: scored_text.scored_blocks(tokenizer, getattr(corpus, split), length)
        for split in ("validation", "test")
    }
    for name, half in HALVES.items():
        rows[name] = tuple(rows_BT[half] for rows_BT in rows["validation"])
    scores = {name: scored_text.score(model, *pair) for name, pair in rows.items()}
    sentences = scored_text.score_sentences(model, tokenizer, corpus.validation)
    singly = scored_text.score_singly(model, *rows["scoring"], every=5)
    return scores | {"sentences": sentences, "singly": singly}


def make_fifty_run(arm: Arm, seed: int, folder: Path) -> dict:
    """One run of the study.

    The weights are scored as saved, in 16 bits: those of the best epoch and of the
    last, which may be the same.
    """
    tokenizer, data, model, run = fit_fifty(arm, seed, folder)
    best = experiment.best_evaluation(run["history"])
    run |= experiment.experiment_outcome(run["history"], data, tokenizer.words)
    state = load_state(folder / "state.pt")
    weights = {"best": state["stopping"]["weights"], "last": state["model"]}
    for moment, values in weights.items():
        model.load_state_dict(values)
        path, info = folder / f"{moment}.safetensors", {"moment": moment, "seed": seed}
        info |= {"name": folder.name, "corpus": scored_text.require_wikitext().name}
        save_model(path, model, tokenizer, info)
        if moment == "last" and best is run["history"][-1]:
            run["last"] = run["best"]
        else:
            saved = load_model(path, tokenizer)[0].to(DEVICE)
            run[moment] = fifty_scores(saved, tokenizer)
    return run


def fifty_trials_table(results: StudyResults) -> str:
    """The lowest loss of each trial as a Markdown table, a row a recipe."""
    rows = []
    for recipe, change in TRIALS.items():
        share = change["learning_rate"] / FAST.learning_rate
        losses = (results.readings[f"{kind}_{recipe}"]["loss"] for kind in MODELS)
        cells = (f"{loss['mean']:.3f}" for loss in losses)
        rows.append([f"{share:g}", f"{change['weight_decay']:g}", *cells])
    names = (LOOKS[kind][0] for kind in MODELS)
    return markdown_table(["Share of the fast rates", "Weight decay", *names], rows)


STUDY = Study(
    "fifty",
    "Train the arms for fifty epochs, or for a hundred (longer), resumable; runs whose "
    "record exists are skipped.",
    folder=RECORDS / "fifty",
    states=ROOT / "runs" / "fifty",
    arms=KINDS,
    pattern=f"{{arm}}_{RECIPE}_seed_{{seed}}",
    make=make_fifty_run,
    alike=("text", "number_format"),
    readings=READINGS
    | {
        "loss": lambda run: run["best"]["scoring"]["loss"],
        "accuracy": lambda run: run["best"]["scoring"]["accuracy"],
        "test_loss": lambda run: run["best"]["test"]["loss"],
    },
    table=partial(
        dropout_table,
        falling_masks="no dropout, 40 → 15 % masked",
        longer="no dropout, 100 epochs",
    ),
    figures={
        "dropout_comparison_subplots.png": lambda _: shipped_figure(),
        "dropout_fifty.png": dropout_figure,
    },
)
TRIAL_STUDY = replace(
    STUDY,
    arms=fifty_trials(),
    pattern="trial_{arm}_seed_{seed}",
    make=make_fifty_trial,
    seeds=[TRIAL_SEED],
    readings={"loss": lambda run: run["best"]["validation_loss"]},
    table=fifty_trials_table,
    figures={},
)


def main(arguments: list[str] | None = None) -> None:
    """Makes runs or trials, or ships; then reports."""
    parser = STUDY.parser()
    parser.set_defaults(arms=[*MODELS])
    parser.add_argument("--trials", action="store_true", help="all trials, not runs")
    parser.add_argument("--ship", action="store_true", help="replace shipped weights")
    given = parser.parse_args(arguments)
    if given.trials and given.ship:
        parser.error("choose one of --trials and --ship.")
    if given.ship and not SHIPPED.keys() & given.arms:
        parser.error(f"--ship takes --arms of {', '.join(SHIPPED)}.")
    study, arms, seeds = STUDY, given.arms, given.seeds
    if given.trials:
        study, arms, seeds = TRIAL_STUDY, TRIAL_STUDY.arms, TRIAL_STUDY.seeds
    with parser.one_sentence():
        torch.set_num_threads(1)
        if given.ship:
            ship_models(STUDY.results(), SHIPPED.keys() & arms)
        elif not given.summary:
            study.make_missing(arms, seeds, given.processes)
        study.report()


if __name__ == "__main__":
    main()
