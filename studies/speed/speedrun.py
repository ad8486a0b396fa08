"""How soon is a model as good as a plain recipe makes it in 50 epochs?

`python -m studies.speed.speedrun` trains once, in `STEPS` steps, and compares what it
reached with two baselines, both BERT's model: *plain* has a constant rate after its
warm-up, *scheduled* has a rate that falls to 0. `--baselines` trains these, resumable:
their rate is chosen from three by trials of `TRIAL` epochs, then 50 epochs are run, of
one seed; if they diverge, the next best rate has its turn. `--time` takes the steps of
all three in turn, on a machine that should be idle.

Our time is that of a whole process, until the weights are saved. For 8, 20 and 50
epochs, whose runs are those of other studies, it is computed from the entry's, as if
they were evaluated as seldom. A baseline's is that of its steps up to its best: the
entry's seconds a step, times the ratio of their steps taken in turn.
"""

import argparse
from statistics import fmean

from matplotlib.ticker import LogLocator

from helpers.figure import QUIET
from helpers.record import require_same_record
from studies import dropout, fifty
from studies.lab.command import SEED, command
from studies.lab.figures import BLUE, GREEN, ORANGE, figure_of, note_point, save_figure
from studies.lab.scored_text import require_wikitext
from studies.lab.stats import one_sided_p, student_interval
from studies.lab.tables import markdown_table, plus_minus
from studies.speed import leads, recipes
from studies.speed.recipes import BASELINES, COMMAND

# The same recipe over more epochs: study, arm, and a record's loss on all words.
LONGER = {
    dropout.EPOCHS: (dropout.STUDY, "none", dropout.READINGS["loss"]),
    leads.EPOCHS: (leads.STUDY, "long_recipe", leads.STUDY.readings["loss"]),
    fifty.EPOCHS: (fifty.STUDY, "none", lambda run: run["best"]["validation"]["loss"]),
}
FREE = "epochs", "evaluations", "patience", "precision", "seed"  # may be others there


def speedrun_ours(entries: list[dict], step: float) -> list[dict]:
    """The series' recipe in each length: losses, and seconds at so many a step."""
    start = fmean(run["seconds"] - run["seconds_in_steps"] for run in entries)
    losses = {entries[0]["steps"]: [run["validation"]["loss"] for run in entries]}
    recipe = vars(recipes.RECIPES["entry"])
    for epochs, (study, arm, read) in LONGER.items():
        if not (runs := study.results().runs.get(arm, {}).values()):
            raise ValueError(f"There are no runs: {study.command_for([arm])}")
        for run in runs:
            require_same_record(study.folder, run, recipe, FREE)
        losses[epochs * recipes.PER_EPOCH] = [read(run) for run in runs]
    return [
        {"steps": n, "loss": student_interval(found), "seconds": start + n * step}
        for n, found in losses.items()
    ]


def speedrun_row(long: dict, seconds: float, ours: list[dict]) -> dict:
    """Compares a baseline, whose steps took so long, with ours.

    `reached` is the first length at which our mean loss is not above it, if that is
    sooner; `p` is of a test that it is not below it, one seed taken as exact.
    """
    target = long["validation"]["loss"]
    row = {"rate": long["rate"], "steps": long["best_step"], "loss": target}
    row |= {"seconds": seconds, "history": long["history"], "reached": None}
    for run in ours:
        if run["loss"]["mean"] <= target and run["seconds"] < seconds:
            losses, faster = run["loss"]["values"], seconds / run["seconds"]
            p = one_sided_p(losses, target) if len(losses) > 1 else None
            return row | {"reached": run["steps"], "times_faster": faster, "p": p}
    return row


def speedrun_results() -> dict:
    """What was reached in which time, from the records alone.

    A baseline is missing until its trials and a long run that did not diverge are
    there. ValueError if records are of different hardware, or of other recipes.
    """
    path, arms = recipes.FOLDER / recipes.TIMES, recipes.RECIPES
    times = recipes.read_recipe_times(path, arms, COMMAND)
    entries = recipes.read_recipe_entries(times["hardware"])
    step = fmean(run["seconds_in_steps"] / run["steps"] for run in entries)
    race = {"ours": speedrun_ours(entries, step)}
    for arm in BASELINES:
        if long := recipes.recipe_baseline(arm):
            seconds = long["best_step"] * step * times[arm]["ratio"][1]
            race[arm] = speedrun_row(long, seconds, race["ours"])
    return race


def speedrun_cells(arm: str, row: dict | None) -> list[str]:
    """The cells of a baseline, or the command that makes it."""
    if not row:
        return [f"{arm}, 50 epochs, not finished yet: `{COMMAND} --baselines {arm}`"]
    cells = [f"{arm} (computed, up to its best step)", f"{row['rate']:g}", "1"]
    cells += [f"{row['steps']:,}", f"{row['loss']:.3f}", f"{row['seconds'] / 60:.1f}"]
    if not row["reached"]:
        return [*cells, "not sooner"]
    cells.append(f"{row['times_faster']:.1f} times, in {row['reached']:,} steps")
    return [*cells, "one seed" if row["p"] is None else f"{row['p']:.2g}"]


def speedrun_table(race: dict) -> str:
    """The results as Markdown; a baseline's steps are those up to its best."""
    titles = ["Recipe", "Rate", "Seeds", "Steps", "Validation loss", "Minutes"]
    training, rows = recipes.RECIPES["entry"].training, []
    rate = f"Muon {training.muon_rate:g}, AdamW {training.learning_rate:g}"
    for run in race["ours"]:
        loss, minutes = run["loss"], f"{run['seconds'] / 60:.1f}"
        cells = [f"{loss['n']}", f"{run['steps']:,}", plus_minus(loss, 3), minutes]
        how = "computed" if rows else "measured"
        rows.append([f"the series' ({how})", rate, *cells])
    rows += [speedrun_cells(arm, race.get(arm)) for arm in BASELINES]
    return markdown_table([*titles, "Ours is faster by", "p"], rows)


@figure_of(size=(7.4, 3.8))
def speedrun_figure(axes, race: dict) -> None:
    """Draws validation loss against minutes: curves of baselines, dots of our runs.

    A baseline's minutes are those of its steps; ours begin with the process. The curves
    are scored on a part of the validation text, dots and dotted lines on all.
    """
    looks = {"plain": (ORANGE, "--", 3), "scheduled": (GREEN, "-.", -13)}
    for arm, (color, style, up) in looks.items():
        if not (row := race.get(arm)):
            continue
        minutes = row["seconds"] / row["steps"] / 60
        later = [entry for entry in row["history"] if entry["step"] > 0]
        x = [entry["step"] * minutes for entry in later]
        y = [entry["validation_loss"] for entry in later]
        label = f"{arm} recipe, scored on a part of the words"
        axes.plot(x, y, style, color=color, linewidth=1.5, label=label)
        axes.axhline(row["loss"], color=color, linestyle=":", linewidth=1)
        text = f"{arm} recipe, best weights, scored on all words: {row['loss']:.2f}"
        look = {"color": color, "fontsize": 9, "xycoords": ("axes fraction", "data")}
        note_point(axes, text, (0.01, row["loss"]), (0, up), **look)
    dots = [(r["seconds"] / 60, y) for r in race["ours"] for y in r["loss"]["values"]]
    label = f"the series' recipe in {len(race['ours'])} lengths, scored on all words"
    axes.plot(*zip(*dots, strict=True), "o", color=BLUE, markersize=5, label=label)
    axes.set(xscale="log", ylabel="validation loss (nats per word)")
    axes.set_xlabel("minutes (curve: steps alone; dot: a process, timed or computed)")
    title = "A curve ends below its dotted line because it is scored on fewer words."
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
