"""Does dropout help? Three arms, paired seeds: `python -m studies.dropout --help`.

Arms: no dropout; dropout of 0.1 on the attention weights only, with which this project
began; dropout of 0.1 at all of BERT's sites. The runs of one seed share initial
weights, batches and masks, so their differences are paired. The recipe was chosen
without dropout, on the validation split; the test split decides nothing.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure

from helpers import ROOT
from helpers.checkpoint import load_model, save_model
from helpers.data import bucket, encode_lines, pack, pad, wasted_share
from helpers.figure import training_curves
from helpers.masking import evaluation_subsets
from helpers.model import ModelConfig
from helpers.optimize import TRAIN_VALUES
from helpers.record import read_record, write_record
from helpers.seeds import seeded
from helpers.settings import NumberSetting
from studies.attention.references import references
from studies.lab.command import RECORDS, option
from studies.lab.experiment import prepare, run_experiment
from studies.lab.figures import curves_beside_effects
from studies.lab.readings import Effect, at
from studies.lab.report import BLUE, GREEN, ORANGE, markdown, plus_minus
from studies.lab.runs import FAST, lone_rows, read_run, score
from studies.lab.study import Arm, Results, Study
from studies.lab.wikitext import require_wikitext

MODELS = {
    "none": ModelConfig(),
    "all": ModelConfig(dropout=0.1),
    "attention": ModelConfig(attention_dropout=0.1),
}
SHIPPED = {"none": "no_dropout", "all": "dropout"}  # arm and name in weights/
CPU_EPOCHS, GPU_EPOCHS = 8, 50
MOST_EPOCHS = int(TRAIN_VALUES["evaluations"].high)  # one evaluation each
EPOCHS = option(NumberSetting.whole(1, MOST_EPOCHS))
COMMAND = "`python -m studies.dropout`"
REFERENCES = RECORDS / "references.json"
LOOKS = {  # in the order of the table
    "none": ("no dropout", BLUE, "-"),
    "attention": ("0.1 on attention weights", GREEN, "-."),
    "all": ("0.1 at BERT's sites", ORANGE, "--"),
}


def make(arm: Arm, seed: int, folder: Path) -> dict:
    """Trains and scores one run: its weights as they are saved, in 16 bits.

    Every eligible word of both splits is predicted once, in packed blocks and in
    sentences of 5 to 40 words, each by itself.
    """
    run = run_experiment(folder, arm.model, replace(arm.training, seed=seed))
    model, tokenizer, _ = load_model(folder / f"{folder.name}.safetensors")
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    corpus, length = require_wikitext(), model.config.max_length
    for split in ("validation", "test"):
        lines = getattr(corpus, split)
        packed_BT = pack(encode_lines(tokenizer, lines), length)
        alone_BT, _ = lone_rows(tokenizer, lines, length)
        run[split] = {
            layout: score(model, ids_BT, evaluation_subsets(ids_BT))
            for layout, ids_BT in {"packed": packed_BT, "sentences": alone_BT}.items()
        }
    return run


def best(run: dict) -> dict:
    """The evaluation of lowest validation loss."""
    return min(run["history"], key=lambda entry: entry["validation_loss"])


READINGS = {
    "loss": at("validation.packed.loss"),
    "accuracy": at("validation.packed.accuracy"),
    "test_loss": at("test.packed.loss"),
    "gap": lambda run: best(run)["validation_loss"] - best(run)["train_loss"],
    "best_epoch": lambda run: best(run)["epoch"],
    "hours": lambda run: run["history"][-1]["seconds"] / 3_600,
}


def row(results: Results, arm: str, name: str) -> list[str]:
    """The cells of one arm after its epochs; what has not been run is named so."""
    if arm not in results.runs:
        return [name, "0", f"not run yet: {COMMAND}"]
    means, minus = results.readings[arm], results.effect(Effect(arm, "none"))
    paired = arm != "none" and minus["n"]
    cells = [name, f"{means['loss']['n']}", plus_minus(means["loss"], 3)]
    cells.append(plus_minus(means["accuracy"], 1, 100) + " %")
    cells.append(plus_minus(minus, 3, sign="+") if paired else "")
    digits = {"gap": 3, "best_epoch": 1, "test_loss": 3}
    return cells + [plus_minus(means[key], n) for key, n in digits.items()]


def table(results: Results) -> str:
    """The study as a Markdown table, and that of a GPU, even if it has no runs yet."""
    titles = ["Epochs", "Dropout", "Seeds", "Validation loss", "Right", "Minus none"]
    titles += ["Gap", "Best epoch", "Test loss"]
    long = replace(study(GPU_EPOCHS), folder=results.study.folder)
    both = [results]
    if long.arms != results.study.arms:
        both.append(Results(long, long.runs()))
    rows = []
    for each in both:
        epochs = f"{each.study.arms['none'].training.epochs:g}"
        cells = [row(each, arm, name) for arm, (name, *_) in LOOKS.items()]
        if not each.runs:
            cells = [["all three", "0", f"not run yet: {COMMAND} on a GPU"]]
        rows += [[epochs, *own] for own in cells]
    return markdown(titles, rows)


def figure(results: Results) -> Figure:
    """The curves of all runs beside what each kind of dropout costs or gains."""
    bigram = read_record(REFERENCES)["bigram"]["loss"]
    return curves_beside_effects(results, LOOKS, "none", {"bigram": bigram})


def shipped() -> list[dict]:
    """The records of the models in weights/."""
    return [read_record(RECORDS / f"{name}.json") for name in SHIPPED.values()]


def study(epochs: int) -> Study:
    """The study with so many epochs a run, each with one evaluation."""
    training = replace(FAST, epochs=float(epochs), evaluations=epochs)
    return Study(
        "dropout",
        "Train every arm of the dropout study over its seeds, resumable; runs whose "
        "record exists are skipped. Then print the table and draw the figures.",
        folder=RECORDS / "dropout_study",
        pattern=f"{{arm}}_{epochs}_epochs_seed_{{seed}}",
        arms={arm: Arm(model, training) for arm, model in MODELS.items()},
        make=make,
        # Of some runs the number format was named, of others found out.
        read=partial(read_run, free=("precision",)),
        alike=("corpus", "number_format"),
        readings=READINGS,
        table=table,
        figures={
            "dropout_comparison_subplots.png": lambda _: training_curves(shipped()),
            "dropout_study.png": figure,
        },
    )


STUDY = study(CPU_EPOCHS)


def ship(results: Results) -> None:
    """Copies weights and record of the seed of median loss to where notebooks read.

    The record also tells the share of [PAD] in each way to make rows of the text.
    ValueError if there are no runs of an arm that is shipped.
    """
    if missing := ", ".join(SHIPPED.keys() - results.runs):
        raise ValueError(f"There are no runs of so many epochs of: {missing}.")
    train = require_wikitext().train
    for arm, name in SHIPPED.items():
        ranked = sorted(results.runs[arm].values(), key=READINGS["loss"])
        run = ranked[(len(ranked) - 1) // 2]
        path = results.study.states / run["name"] / f"{run['name']}.safetensors"
        model, tokenizer, _ = load_model(path)
        info = {key: run[key] for key in ("corpus", "seed", "validation")}
        info |= {"name": name, "run": run["name"]}
        save_model(ROOT / "weights" / f"{name}.safetensors", model, tokenizer, info)
        tokenizer.save(ROOT / "weights" / "vocabulary.json")
        ids, length = encode_lines(tokenizer, train), model.config.max_length
        ways = {"pad": pad(ids, length)}
        ways["bucket"] = bucket(ids, length, FAST.batch_size, seeded(0))
        ways["pack"] = pack(ids, length)
        wasted = {way: wasted_share(rows) for way, rows in ways.items()}
        write_record(RECORDS / f"{name}.json", run | {"name": name, "wasted": wasted})


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, ships if asked to, then reports."""
    parser = STUDY.parser()
    epochs, seeds = (GPU_EPOCHS, 5) if torch.cuda.is_available() else (CPU_EPOCHS, 3)
    parser.set_defaults(seeds=[*range(seeds)])
    parser.add_argument("--epochs", type=EPOCHS, default=epochs)
    parser.add_argument("--ship", action="store_true", help="replace shipped weights")
    given = parser.parse_args(arguments)
    chosen = study(given.epochs)
    with parser.one_sentence():
        if not given.summary:
            chosen.make_missing(given.arms, given.seeds, given.processes)
        if not REFERENCES.exists():
            _, tokenizer, data, _ = prepare(ModelConfig(), 0)
            write_record(REFERENCES, references(data, len(tokenizer)))
        if given.ship:
            ship(chosen.results())
        chosen.report()


if __name__ == "__main__":
    main()
