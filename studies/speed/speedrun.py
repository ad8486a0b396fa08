"""How soon is a model as good as a plain recipe makes it in 50 epochs?

`python -m studies.speed.speedrun` trains once, in `STEPS` steps, and compares what it
reached with two baselines, both BERT's model: *plain* has a constant rate after its
warm-up, *scheduled* has a rate that falls to 0. `--baselines` trains these, resumable:
their rate is chosen from three by trials of `TRIAL` epochs, then 50 epochs are run, of
one seed; if they diverge, the next best rate has its turn. `--time` takes the steps of
all three in turn, on a machine that should be idle.

The entry's time is that of its whole process, from its start until the weights are
saved. A baseline's is that of its steps alone, up to its best evaluation, whose weights
count: the entry's seconds a step, times the ratio of their steps taken in turn. Every
word of the validation text is scored.
"""

import argparse
from statistics import fmean

from matplotlib.ticker import LogLocator

from helpers.figure import QUIET
from studies.lab.command import SEED, command
from studies.lab.figures import BLUE, GREEN, ORANGE, figure_of, note_point, save_figure
from studies.lab.scored_text import require_wikitext
from studies.lab.stats import one_sided_p, student_interval
from studies.lab.tables import markdown_table, plus_minus
from studies.speed import recipes
from studies.speed.recipes import BASELINES, COMMAND


def speedrun_row(long: dict, entries: list[dict], ratio: float) -> dict:
    """Compares a baseline, whose step takes `ratio` times as long, with the entries.

    `times_faster` is None if the entries' mean loss is above the baseline's. `p` is of
    a test that their mean is not below it, one seed of the baseline taken as exact.
    """
    target = long["validation"]["loss"]
    losses = [run["validation"]["loss"] for run in entries]
    step = fmean(run["seconds_in_steps"] / run["steps"] for run in entries)
    seconds = long["best_step"] * step * ratio
    faster = seconds / fmean(run["seconds"] for run in entries)
    return {
        "rate": long["rate"],
        "steps": long["best_step"],
        "loss": target,
        "seconds": seconds,
        "times_faster": faster if fmean(losses) <= target else None,
        "p": one_sided_p(losses, target) if len(losses) > 1 else None,
        "history": long["history"],
    }


def speedrun_results() -> dict:
    """What was reached in which time, from the records alone.

    A baseline is missing until its trials and a long run that did not diverge are
    there. ValueError if records are of different hardware, or of other recipes.
    """
    times, training = recipes.read_recipe_times(), recipes.RECIPES["entry"].training
    entries = recipes.read_recipe_entries(times["hardware"])
    entry = {"steps": recipes.STEPS, "rate": training.learning_rate}
    entry |= {"muon_rate": training.muon_rate, "runs": entries}
    entry["loss"] = student_interval([run["validation"]["loss"] for run in entries])
    entry["seconds"] = student_interval([run["seconds"] for run in entries])
    long = {arm: recipes.recipe_baseline(arm) for arm in BASELINES}
    return {"entry": entry} | {
        arm: speedrun_row(run, entries, times[arm]["ratio"][1])
        for arm, run in long.items()
        if run
    }


def speedrun_cells(arm: str, row: dict | None) -> list[str]:
    """The cells of a baseline, or the command that makes it."""
    if not row:
        return [f"{arm}, 50 epochs, not finished yet: `{COMMAND} --baselines {arm}`"]
    times, p = row["times_faster"], row["p"]
    return [
        f"{arm}, the steps of 50 epochs up to its best",
        f"{row['rate']:g}",
        "1",
        f"{row['steps']:,}",
        f"{row['loss']:.3f}",
        f"{row['seconds'] / 60:.1f}",
        "not reached" if times is None else f"{times:.1f} times",
        "one seed" if p is None else f"{p:.2g}",
    ]


def speedrun_table(race: dict) -> str:
    """The results as Markdown; a baseline's steps are those up to its best."""
    titles = ["Recipe", "Rate", "Seeds", "Steps", "Validation loss", "Minutes"]
    entry = race["entry"]
    cells = [
        "the series', the whole process",
        f"Muon {entry['muon_rate']:g}, AdamW {entry['rate']:g}",
        f"{entry['loss']['n']}",
        f"{entry['steps']:,}",
        plus_minus(entry["loss"], 3),
        plus_minus(entry["seconds"], 1, 1 / 60),
    ]
    rows = [cells, *(speedrun_cells(arm, race.get(arm)) for arm in BASELINES)]
    return markdown_table([*titles, "Faster by", "p"], rows)


@figure_of(size=(7.4, 3.8))
def speedrun_figure(axes, race: dict) -> None:
    """Draws validation loss against minutes: curves of baselines, dots of entries.

    A baseline's minutes are those of its steps; an entry's begin with its process. The
    curves are scored on a part of the validation text, dots and dotted lines on all.
    """
    looks = {"plain": (ORANGE, "--"), "scheduled": (GREEN, "-.")}
    for arm, (color, style) in looks.items():
        if not (row := race.get(arm)):
            continue
        minutes = row["seconds"] / row["steps"] / 60
        later = [entry for entry in row["history"] if entry["step"] > 0]
        x = [entry["step"] * minutes for entry in later]
        y = [entry["validation_loss"] for entry in later]
        label = f"{arm} recipe, scored on a part of the words"
        axes.plot(x, y, style, color=color, linewidth=1.5, label=label)
        axes.axhline(row["loss"], color=color, linestyle=":", linewidth=1)
        text = f"its best weights, scored on all words: {row['loss']:.2f}"
        look = {"color": color, "fontsize": 9, "xycoords": ("axes fraction", "data")}
        note_point(axes, text, (0.01, row["loss"]), (0, 3), **look)
    entry = race["entry"]
    x = [run["seconds"] / 60 for run in entry["runs"]]
    y = [run["validation"]["loss"] for run in entry["runs"]]
    label = f"the series' recipe, {entry['steps']:,} steps, scored on all words"
    axes.plot(x, y, "o", color=BLUE, markersize=7, label=label)
    axes.set(xscale="log", ylabel="validation loss (nats per word)")
    axes.set_xlabel("minutes (curve: steps alone; dot: the whole process)")
    title = "The curve ends below its line because it is scored on other words."
    axes.set_title(title, fontsize=9, loc="left", color=QUIET)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, fontsize=9)


def main(arguments: list[str] | None = None) -> None:
    """Makes one entry; or the baselines, the timing, the summary."""
    parser = command("speed.speedrun", __doc__, argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seed", type=SEED, default=0, help="of the entry (default 0)")
    what.add_argument("--baselines", nargs="*", choices=BASELINES, metavar="ARM")
    what.add_argument("--time", action="store_true")
    what.add_argument("--summary", action="store_true")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if given.summary:
            race = speedrun_results()
            print(speedrun_table(race))
            save_figure("time_to_quality.png", speedrun_figure(race))
            return
        require_wikitext()
        if given.time:
            print(recipes.time_recipes())
        elif given.baselines is None:
            run = recipes.run_recipe_entry(given.seed)
            print(
                f"{run['validation']['loss']:.3f} nats after {run['steps']:,} steps, "
                f"{run['seconds']:.0f} s from the start of the process"
            )
        for arm in BASELINES if given.baselines == [] else given.baselines or ():
            recipes.recipe_baseline(arm, recipes.run_recipe_baseline)


if __name__ == "__main__":
    main()
