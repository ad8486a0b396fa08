"""Does dropout help? Three arms, paired seeds: `python -m studies.dropout --help`.

Arms: no dropout; dropout of 0.1 on the attention weights only, with which this project
began; dropout of 0.1 at all of BERT's sites. The runs of one seed share initial
weights, batches and masks, so their differences are paired. The recipe was chosen
without dropout, on the validation split; the test split decides nothing.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes

from helpers.checkpoint import load_model
from helpers.figure import QUIET
from helpers.model import ModelConfig
from helpers.record import write_record
from studies.attention.references import all_references
from studies.lab.claims import Effect
from studies.lab.experiment import best_evaluation, prepare_experiment, run_experiment
from studies.lab.figures import BLUE, GREEN, ORANGE, draw_band, figure_of
from studies.lab.machine import DEVICE
from studies.lab.runs import FAST, RECORDS, read_run
from studies.lab.scored_text import (
    require_wikitext,
    score,
    score_sentences,
    scored_blocks,
)
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table, plus_minus

MODELS = {
    "none": ModelConfig(),
    "all": ModelConfig(dropout=0.1),
    "attention": ModelConfig(attention_dropout=0.1),
}
EPOCHS = 8
TRAINING = replace(FAST, epochs=float(EPOCHS), evaluations=EPOCHS)
REFERENCES = RECORDS / "references.json"
LOOKS = {  # in the order of the table
    "none": ("no dropout", BLUE, "-"),
    "attention": ("0.1 on attention weights", GREEN, "-."),
    "all": ("0.1 at BERT's sites", ORANGE, "--"),
}


def make_dropout_run(arm: Arm, seed: int, folder: Path) -> dict:
    """Trains and scores one run: its weights as they are saved, in 16 bits.

    Every eligible word of both splits is predicted once, in packed blocks and in
    sentences of 5 to 40 words, each by itself.
    """
    run = run_experiment(folder, arm.model, replace(arm.training, seed=seed))
    model, tokenizer, _ = load_model(folder / f"{folder.name}.safetensors")
    model.to(DEVICE)
    corpus, length = require_wikitext(), model.config.max_length
    for split in ("validation", "test"):
        lines = getattr(corpus, split)
        run[split] = {
            "packed": score(model, *scored_blocks(tokenizer, lines, length)),
            "sentences": score_sentences(model, tokenizer, lines),
        }
    return run


def dropout_gap(run: dict) -> float:
    """How far the training loss is below the validation loss where that is lowest."""
    best = best_evaluation(run["history"])
    return best["validation_loss"] - best["train_loss"]


READINGS = {
    "loss": lambda run: run["validation"]["packed"]["loss"],
    "accuracy": lambda run: run["validation"]["packed"]["accuracy"],
    "test_loss": lambda run: run["test"]["packed"]["loss"],
    "gap": dropout_gap,
    "best_epoch": lambda run: best_evaluation(run["history"])["epoch"],
}


def dropout_row(results: StudyResults, arm: str, name: str) -> list[str]:
    """The cells of one arm after its epochs; what has not been run is named so."""
    if arm not in results.runs:
        return [name, "0", f"not run yet: `{results.study.command_for([arm])}`"]
    means, minus = results.readings[arm], results.effect(Effect(arm, "none"))
    paired = arm != "none" and minus["n"]
    cells = [name, f"{means['loss']['n']}", plus_minus(means["loss"], 3)]
    cells.append(plus_minus(means["accuracy"], 1, 100) + " %")
    cells.append(plus_minus(minus, 3, sign="+") if paired else "")
    digits = {"gap": 3, "best_epoch": 1, "test_loss": 3}
    return cells + [plus_minus(means[key], n) for key, n in digits.items()]


def dropout_table(results: StudyResults, **more: str) -> str:
    """A study of dropout as a Markdown table; `more` are names of other arms."""
    names = {arm: name for arm, (name, *_) in LOOKS.items()} | more
    titles = ["Dropout", "Seeds", "Validation loss", "Right", "Minus none", "Gap"]
    titles += ["Best epoch", "Test loss"]
    rows = [dropout_row(results, arm, name) for arm, name in names.items()]
    return markdown_table(titles, rows)


def draw_dropout_curves(axes: Axes, results: StudyResults) -> None:
    """Training and validation loss of each arm, but for the first epochs' fall."""
    epochs = results.study.arms["none"].training.epochs
    for arm in filter(results.runs.get, LOOKS):
        name, color, style = LOOKS[arm]
        histories = [
            [entry for entry in run["history"] if entry["epoch"] >= epochs / 16]
            for run in results.runs[arm].values()
        ]
        x = [entry["epoch"] for entry in histories[0]]
        thick, thin = {"linewidth": 1.8, "label": name}, {"linewidth": 0.8}
        for key, look in {"validation_loss": thick, "train_loss": thin}.items():
            losses = [[entry[key] for entry in history] for history in histories]
            draw_band(axes, x, losses, style, color, **look)
    axes.legend(frameon=False, title="thick: validation, thin: training text")
    axes.set(xlabel="epoch", ylabel="loss (nats per word, dropout off)")
    title = f"WikiText-2, {epochs:g} epochs, means and range of seeds"
    axes.set_title(title, fontsize=11)


def draw_dropout_effects(axes: Axes, results: StudyResults) -> None:
    """Each arm minus none, paired by seed; the bar is Student's interval."""
    place = {"xycoords": ("axes fraction", "data"), "ha": "center", "va": "bottom"}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    effects = {arm: results.effect(Effect(arm, "none")) for arm in LOOKS}
    shown = {a: effect for a, effect in effects.items() if a != "none" and effect["n"]}
    for row, (arm, effect) in enumerate(shown.items()):
        name, color, _ = LOOKS[arm]
        text = f"{name}\n{plus_minus(effect, 3, sign='+')}"
        axes.plot(effect["values"], [row] * effect["n"], "o", color=color, alpha=0.6)
        if effect["n"] > 1:
            ends = effect["low"], effect["high"]
            axes.plot(ends, [row + 0.12] * 2, color=color, linewidth=2)
            axes.plot(effect["mean"], row + 0.12, "|", color=color, markersize=12)
        else:
            text += " (one seed, no interval)"
        axes.annotate(text, (0.5, row + 0.2), fontsize=9, bbox=box, **place)
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.margins(x=0.2)
    axes.set(yticks=[], ylim=(-0.3, len(shown) - 0.2))
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("loss minus that without dropout (nats)")
    axes.set_title("dot: one seed, paired; bar: 95 % interval", fontsize=11)


@figure_of(1, 2, size=(8.8, 3.9), width_ratios=(4, 3))
def dropout_figure(panels, results: StudyResults) -> None:
    """The curves of all arms, as means over seeds, and what dropout costs or gains."""
    draw_dropout_curves(panels[0], results)
    draw_dropout_effects(panels[1], results)


STUDY = Study(
    "dropout",
    "Train every arm of the dropout study over its seeds, resumable; runs whose "
    "record exists are skipped. Then print the table and draw the figure.",
    folder=RECORDS / "dropout_study",
    pattern=f"{{arm}}_{EPOCHS}_epochs_seed_{{seed}}",
    arms={arm: Arm(model, TRAINING) for arm, model in MODELS.items()},
    make=make_dropout_run,
    # Of some runs the number format was named, of others found out.
    read=partial(read_run, free=("precision",)),
    alike=("corpus", "number_format"),
    readings=READINGS,
    table=dropout_table,
    figures={"dropout_study.png": dropout_figure},
)


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, and the simple guesses to compare with; then reports."""
    parser = STUDY.parser()
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if not given.summary:
            STUDY.make_missing(given.arms, given.seeds, given.processes)
            if not REFERENCES.exists():
                _, tokenizer, data, _ = prepare_experiment(ModelConfig(), 0)
                write_record(REFERENCES, all_references(data, len(tokenizer)))
        STUDY.report()


if __name__ == "__main__":
    main()
