"""Why does a model say the same word everywhere at first, and what ends that?

`python -m studies.plateau` trains the series' model with learned, sinusoidal and rotary
positions until some way past the unigram plateau, at a constant rate that is chosen for
each of them from three by its own seed 0, then over three seeds. The hypothesis: what
takes long is to learn which positions are neighbours, and rotary positions tell that
from the start. The control, one run, cannot tell positions apart at all. Evaluated
often, on a part of the validation text.
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
from studies.lab.command import RECORDS
from studies.lab.experiment import outcome, prepare
from studies.lab.figures import band
from studies.lab.report import (
    BLUE,
    GREEN,
    ORANGE,
    figure_of,
    markdown,
    note,
    plain,
    plus_minus,
)
from studies.lab.runs import read_run, subsample
from studies.lab.samples import probing, said
from studies.lab.stats import student
from studies.lab.study import Arm, Results, Study
from studies.positions import (
    ARMS,
    EVERY,
    POSITIONS,
    RATES,
    STEPS,
    TRAINED,
    WARM_UP,
    kind_of,
    train_positions,
)

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


def step_left(run: dict) -> int | None:
    """The first evaluation well below the unigram loss; None if there was none."""
    limit = run["unigram_loss"] - LEFT
    below = (e["step"] for e in run["history"] if e["validation_loss"] < limit)
    return next(below, None)


def lowest(run: dict) -> float:
    """The lowest validation loss of a run."""
    return min(entry["validation_loss"] for entry in run["history"])


def trials(results: Results, positions: str) -> dict[str, dict]:
    """The runs of seed 0, one for each rate, by arm; ValueError if one is missing."""
    names = [name for name in ARMS if kind_of(name) == positions]
    for name in names:
        if 0 not in results.runs.get(name, ()):
            raise ValueError(
                f"Seed 0 of {name} is missing; make it: python -m studies.plateau "
                f"--arms {positions}"
            )
    return {name: results.runs[name][0] for name in names}


def best_arm(results: Results, positions: str) -> str:
    """The arm whose seed 0 leaves first; among equals, that of the lowest loss."""
    runs = trials(results, positions)
    return min(runs, key=lambda a: (step_left(runs[a]) or STEPS + 1, lowest(runs[a])))


def best_runs(results: Results, positions: str) -> list[dict]:
    """All seeds at the best rate of one kind of positions."""
    return [*results.runs[best_arm(results, positions)].values()]


def make(arm: Arm, seed: int, folder: Path) -> dict:
    """Trains one model, which is scored on a part of the validation text."""
    _, tokenizer, data, model = prepare(arm.model, seed)
    if arm.table:
        train_positions(model.embedding, arm.table)
    data = subsample(data, BLOCKS)
    shape = arm.model.max_length, arm.training.batch_size
    epochs = STEPS / steps_per_epoch(data.stream, *shape)
    config = replace(arm.training, seed=seed, epochs=epochs)
    training = train(model, data, config, folder, on_evaluation=probing(data))
    return {
        "positions": arm.table or arm.model.positions,
        "rate": config.learning_rate,
        "training": asdict(config),
        "number_format": str(training.dtype),
        **outcome(training.history, data, tokenizer.words),
    }


def read(path: Path, identity: dict) -> dict | None:
    """A run's record if there is one, cut to the steps and evaluations of this study.

    A longer run will do as well, in whichever way its number format was chosen.
    ValueError if it is of another run.
    """
    # A run's arm says no more than its settings, and older records do not have it.
    run = read_run(path, identity, (*LENGTH, "precision", "arm"))
    if run is None:
        return None
    last, training = run["history"][-1], run["training"]
    warmed = training["epochs"] * training["warmup"] * last["step"] / last["epoch"]
    history = [e for e in run["history"] if e["step"] in EVALUATED]
    steps = [entry["step"] for entry in history]
    if not math.isclose(warmed, WARM_UP) or steps != [*EVALUATED]:
        raise ValueError(f"{path} holds another run: its warm-up or steps differ.")
    return run | {"history": history}


def table(results: Results) -> str:
    """Steps until the plateau is left, by positions, as a Markdown table.

    A seed that stayed on it to the end makes the mean a lower bound.
    """

    def told(runs: Iterable[dict]) -> str:
        steps = map(step_left, runs)
        return ", ".join(f"{s:,}" if s else f"over {STEPS:,}" for s in steps)

    titles = ["Positions", f"Seed 0 at {', '.join(f'{rate:g}' for rate in RATES)}"]
    titles += ["Best rate", "Steps at it, by seed", "Mean"]
    cells = []
    for positions in (*POSITIONS, *TRAINED):
        runs, name = best_runs(results, positions), TRAINED.get(positions, positions)
        steps = student([step_left(run) or STEPS for run in runs])
        if positions == "none":
            name, first, mean = "none (control)", "", "one seed"
        else:
            first = told(trials(results, positions).values())
            stayed = None in map(step_left, runs)
            mean = f"at least {steps['mean']:.0f}" if stayed else plus_minus(steps, 0)
        cells.append([name, first, f"{runs[0]['rate']:g}", told(runs), mean])
    return markdown(titles, cells)


@figure_of(1, 2, size=(8.8, 3.6), sharex=True)
def curves(panels, results: Results) -> None:
    """Loss and the share of the most-predicted word over the first steps, by positions.

    The line is the mean over seeds, the band reaches from the lowest to the highest
    seed; the steps are on a logarithmic scale. The control is on the left only.
    """
    left, right = panels
    for positions in POSITIONS:
        color, style = LOOKS[positions]
        runs = best_runs(results, positions)
        name = "no positions" if positions == "none" else positions
        label = f"{name}, rate {runs[0]['rate']:g}"
        steps = [max(1, entry["step"]) for entry in runs[0]["history"]]
        keys = "validation_loss", "most_predicted_share"
        for axes, key in zip(panels, keys, strict=True):
            over_seeds = [[e[key] for e in run["history"]] for run in runs]
            if axes is left or positions != "none":
                band(axes, steps, over_seeds, style, color, label=label)
    left.legend(frameon=False, fontsize=9, loc="lower left")
    unigram = runs[0]["unigram_loss"]
    reference_loss_lines(left, {"unigram": unigram})
    limit = unigram - LEFT
    left.axhline(limit, color=QUIET, linestyle=":", linewidth=1)
    look = {"color": QUIET, "fontsize": 9, "xycoords": ("axes fraction", "data")}
    note(left, f"left at {limit:.2f}", (0.02, limit), (0, 3), **look)
    ticks = 20, 50, 100, 200, 500, STEPS
    left.set(xscale="log", xlim=(ticks[0], ticks[-1]), ylim=(None, unigram + 1.2))
    left.set_xticks(ticks, map("{:,}".format, ticks))
    left.minorticks_off()
    left.set(xlabel="step", ylabel="validation loss (nats per word)")
    right.set(xlabel="step", ylabel="share of the most-predicted word", ylim=(0, 1))
    for axes in panels:
        plain(axes)


def samples(results: Results) -> list[dict]:
    """What the first seeds say at step `SHOWN` for their probed words."""
    words = WordTokenizer.load(ROOT / "weights" / "vocabulary.json").words
    rows = []
    for positions in POSITIONS:
        run = best_runs(results, positions)[0]
        entry = next(entry for entry in run["history"] if entry["step"] == SHOWN)
        rows.append(said(positions, entry, run["samples"][0]["predictions"], words))
    return rows


STUDY = Study(
    "plateau",
    "Train with three kinds of positions past the unigram plateau, resumable; runs "
    "whose record exists are skipped.",
    folder=RECORDS / "plateau",
    states=ROOT / "runs" / "plateau",
    arms=ARMS,
    make=make,
    read=read,
    alike=("number_format", "unigram_loss"),
    readings={"step_left": lambda run: step_left(run) or STEPS, "lowest": lowest},
    table=table,
    figures={"plateau.png": curves},
)


def main(arguments: list[str] | None = None) -> None:
    """Seed 0 at each rate, then all seeds at the best one, then the report."""
    parser = STUDY.parser([*POSITIONS, *TRAINED])
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if not given.summary:
            rates = [name for name in ARMS if kind_of(name) in given.arms]
            STUDY.make_missing(rates, [0], given.processes)
            runs = STUDY.results()
            best = [best_arm(runs, p) for p in given.arms if p != "none"]
            STUDY.make_missing(best, given.seeds, given.processes)
        STUDY.report()


if __name__ == "__main__":
    main()
