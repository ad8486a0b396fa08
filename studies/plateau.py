"""Why does a model say the same word everywhere at first, and what ends that?

`python -m studies.plateau` trains the series' model with several kinds of positions
until some way past the unigram plateau, at a constant rate that is chosen for each by
its own seed 0, then over three seeds. The hypothesis: what takes long is to learn which
positions are neighbours, and rotary positions tell that from the start.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from helpers import ROOT
from helpers.data import steps_per_epoch
from helpers.figure import QUIET, reference_loss_lines
from helpers.tokenizer import WordTokenizer
from helpers.train import train
from studies import positions
from studies.lab import experiment
from studies.lab.figures import BLUE, GREEN, ORANGE, draw_band, figure_of, note_point
from studies.lab.runs import RECORDS, read_run
from studies.lab.samples import phase_sample, sampling
from studies.lab.stats import student_interval
from studies.lab.study import Study, StudyResults
from studies.lab.tables import markdown_table, plus_minus
from studies.positions import ARMS, EVERY, POSITIONS, RATES, STEPS, TRAINED, WARM_UP

EVALUATED = range(0, STEPS + 1, EVERY)
BLOCKS = 512  # of the validation text
LENGTH = "epochs", "warmup", "evaluations"  # settings that say how long a run is
LEFT = 0.5  # nats below the unigram loss at which the plateau counts as left
SHOWN = 400  # the step whose predictions are laid side by side
LOOKS = {
    "rotary": (BLUE, "-"),
    "sinusoidal": (GREEN, "-."),
    "learned": (ORANGE, "--"),
    "none": ("#777777", ":"),
}


def plateau_left(run: dict) -> int | None:
    """The first evaluation well below the unigram loss; None if there was none."""
    limit = run["unigram_loss"] - LEFT
    below = (e["step"] for e in run["history"] if e["validation_loss"] < limit)
    return next(below, None)


def plateau_low(run: dict) -> float:
    """The lowest validation loss of a run."""
    return experiment.best_evaluation(run["history"])["validation_loss"]


def plateau_trials(results: StudyResults, kind: str) -> dict[str, dict]:
    """The runs of seed 0, one for each rate, by arm; ValueError if one is missing."""
    names = [name for name, arm in ARMS.items() if arm.kind == kind]
    for name in names:
        if 0 not in results.runs.get(name, ()):
            command = results.study.command_for([kind])
            raise ValueError(f"Seed 0 of {name} is missing; make it: {command}")
    return {name: results.runs[name][0] for name in names}


def plateau_arm(results: StudyResults, kind: str) -> str:
    """The arm whose seed 0 leaves first; among equals, that of the lowest loss."""
    runs = plateau_trials(results, kind).items()
    ranked = [(plateau_left(r) or STEPS + 1, plateau_low(r), name) for name, r in runs]
    return min(ranked)[-1]


def plateau_runs(results: StudyResults, kind: str) -> list[dict]:
    """All seeds at the best rate of one kind of positions."""
    return [*results.runs[plateau_arm(results, kind)].values()]


def make_plateau_run(arm: positions.PositionsArm, seed: int, folder: Path) -> dict:
    """Trains one model, which is scored on a part of the validation text."""
    _, tokenizer, data, model = experiment.prepare_experiment(arm.model, seed)
    if arm.table:
        positions.train_positions(model.embedding, arm.table)
    data = experiment.experiment_part(data, BLOCKS)
    shape = arm.model.max_length, arm.training.batch_size
    epochs = STEPS / steps_per_epoch(data.stream, *shape)
    config = replace(arm.training, seed=seed, epochs=epochs)
    training = train(model, data, config, folder, on_evaluation=sampling(data))
    return {
        "positions": arm.kind,
        "rate": config.learning_rate,
        "training": asdict(config),
        "number_format": str(training.dtype),
        **experiment.experiment_outcome(training.history, data, tokenizer.words),
    }


def read_plateau_run(path: Path, identity: dict) -> dict | None:
    """A run's record if there is one, cut to the steps and evaluations of this study.

    A longer run will do as well, in whichever way its number format was chosen.
    ValueError if it is of another run.
    """
    # A run's arm says no more than its settings, and older records do not have it.
    run = read_run(path, identity, (*LENGTH, "precision", "arm"))
    if run:
        last, training = run["history"][-1], run["training"]
        warmed = training["epochs"] * training["warmup"] * last["step"] / last["epoch"]
        run["history"] = [e for e in run["history"] if e["step"] in EVALUATED]
        steps = [entry["step"] for entry in run["history"]]
        if not math.isclose(warmed, WARM_UP) or steps != [*EVALUATED]:
            raise ValueError(f"{path} holds another run: its warm-up or steps differ.")
    return run


def plateau_cell(runs: Iterable[dict]) -> str:
    """When each run leaves the plateau."""
    steps = map(plateau_left, runs)
    return ", ".join(f"{step:,}" if step else f"over {STEPS:,}" for step in steps)


def plateau_table(results: StudyResults) -> str:
    """Steps until the plateau is left, by positions, as a Markdown table.

    A seed that stayed on it to the end makes the mean a lower bound.
    """
    titles = ["Positions", f"Seed 0 at {', '.join(f'{rate:g}' for rate in RATES)}"]
    titles += ["Best rate", "Steps at it, by seed", "Mean"]
    rows = []
    for kind in (*POSITIONS, *TRAINED):
        runs, name = plateau_runs(results, kind), TRAINED.get(kind, kind)
        steps = student_interval([plateau_left(run) or STEPS for run in runs])
        stayed = None in map(plateau_left, runs)
        first = plateau_cell(plateau_trials(results, kind).values())
        mean = f"at least {steps['mean']:.0f}" if stayed else plus_minus(steps, 0)
        if kind == "none":
            name, first, mean = "none (control)", "", "one seed"
        rows.append([name, first, f"{runs[0]['rate']:g}", plateau_cell(runs), mean])
    return markdown_table(titles, rows)


@figure_of(1, 2, size=(8.8, 3.6), sharex=True)
def plateau_figure(panels, results: StudyResults) -> None:
    """Loss and the share of the most-predicted word over the first steps, by positions.

    The line is the mean over seeds, the band reaches from the lowest to the highest
    seed; the steps are on a logarithmic scale. The control is on the left only.
    """
    left, right = panels
    for kind in POSITIONS:
        color, style = LOOKS[kind]
        runs = plateau_runs(results, kind)
        name = "no positions" if kind == "none" else kind
        label = f"{name}, rate {runs[0]['rate']:g}"
        steps = [max(1, entry["step"]) for entry in runs[0]["history"]]
        keys = "validation_loss", "most_predicted_share"
        for axes, key in zip(panels, keys, strict=True):
            over_seeds = [[e[key] for e in run["history"]] for run in runs]
            if axes is left or kind != "none":
                draw_band(axes, steps, over_seeds, style, color, label=label)
    left.legend(frameon=False, fontsize=9, loc="lower left")
    unigram = runs[0]["unigram_loss"]
    reference_loss_lines(left, {"unigram": unigram})
    limit = unigram - LEFT
    left.axhline(limit, color=QUIET, linestyle=":", linewidth=1)
    look = {"color": QUIET, "fontsize": 9, "xycoords": ("axes fraction", "data")}
    note_point(left, f"plateau left below {limit:.2f}", (0.02, limit), (0, 3), **look)
    ticks = 20, 50, 100, 200, 500, STEPS
    left.set(xscale="log", xlim=(ticks[0], ticks[-1]), ylim=(None, unigram + 1.2))
    left.set_xticks(ticks, map("{:,}".format, ticks))
    left.minorticks_off()
    left.set(xlabel="step", ylabel="validation loss (nats per word)")
    right.set(xlabel="step", ylabel="share of the most-predicted word", ylim=(0, 1))


def plateau_samples(results: StudyResults) -> list[dict]:
    """What the first seeds say at step `SHOWN` for their probed words."""
    words = WordTokenizer.load(ROOT / "weights" / "vocabulary.json").words
    runs, rows = {kind: plateau_runs(results, kind)[0] for kind in POSITIONS}, []
    for kind, run in runs.items():
        entry = run["history"][EVALUATED.index(SHOWN)]
        rows.append(phase_sample(kind, entry, run["samples"][0]["predictions"], words))
    return rows


STUDY = Study(
    "plateau",
    "Train with three kinds of positions past the unigram plateau, resumable; runs "
    "whose record exists are skipped.",
    folder=RECORDS / "plateau",
    states=ROOT / "runs" / "plateau",
    arms=ARMS,
    make=make_plateau_run,
    read=read_plateau_run,
    alike=("number_format", "unigram_loss"),
    readings={
        "step_left": lambda run: plateau_left(run) or STEPS,
        "lowest": plateau_low,
    },
    table=plateau_table,
    figures={"plateau.png": plateau_figure},
)


def main(arguments: list[str] | None = None) -> None:
    """Seed 0 at each rate, then all seeds at the best one, then the report."""
    parser = STUDY.parser([*POSITIONS, *TRAINED])
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if not given.summary:
            rates = [name for name, arm in ARMS.items() if arm.kind in given.arms]
            STUDY.make_missing(rates, [0], given.processes)
            runs = STUDY.results()
            best = [plateau_arm(runs, p) for p in given.arms if p != "none"]
            STUDY.make_missing(best, given.seeds, given.processes)
        STUDY.report()


if __name__ == "__main__":
    main()
