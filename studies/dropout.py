"""Does dropout help? Three arms, paired seeds: `python -m studies.dropout --help`.

Arms: no dropout; dropout of 0.1 on the attention weights only, with which this project
began; dropout of 0.1 at all of BERT's sites. The runs of one seed share initial
weights, batches and masks, so their differences are paired. The recipe was chosen
without dropout, on the validation split; the test split decides nothing.
"""

import re
from dataclasses import asdict, replace

import torch

from helpers import ROOT, record
from helpers.checkpoint import load_model, save_model
from helpers.corpus import require_wikitext
from helpers.curves import training_curves, true_vs_pred
from helpers.data import (
    bucket,
    encode_lines,
    pack,
    pad,
    wasted_share,
)
from helpers.figure import png
from helpers.files import write_whole
from helpers.masking import evaluation_subsets
from helpers.model import ModelConfig
from helpers.optimize import TRAIN_VALUES, TrainConfig
from helpers.seeds import seeded
from helpers.settings import whole
from helpers.tokenizer import WordTokenizer
from studies.attention.references import read_references, references
from studies.figures import dropout_study
from studies.lab.command import SEED, command
from studies.lab.experiment import prepare, run_experiment
from studies.lab.runs import (
    FAST,
    lone_rows,
    read_run,
    readable,
    require_name,
    score_all,
)
from studies.lab.stats import student

ARMS = {
    "none": ModelConfig(),
    "all": ModelConfig(dropout=0.1),
    "attention": ModelConfig(attention_dropout=0.1),
}
RUN = re.compile(f"({'|'.join(ARMS)})_([0-9]+)_epochs_seed_([0-9]+)")
EPOCHS = whole(1, int(TRAIN_VALUES["evaluations"].high))  # one evaluation each
RECORDS = ROOT / "plots" / "records" / "dropout_study"
SUMMARY = RECORDS.with_suffix(".json")
FREE = ("precision",)  # runs of one number format may be named or found out
SHIPPED = {"none": "no_dropout", "all": "dropout"}  # arm and name in weights/


def final_scores(model, tokenizer, lines: list[str]) -> dict:
    """Every eligible word of a split predicted once, in packed blocks and alone.

    Alone: sentences of 5 to 40 words, each by itself, as one types them.
    """
    length = model.config.max_length
    layouts = {
        "packed": pack(encode_lines(tokenizer, lines), length),
        "sentences": lone_rows(tokenizer, lines, length),
    }
    return {
        name: score_all(model, ids_BT, evaluation_subsets(ids_BT))
        for name, ids_BT in layouts.items()
    }


def run_name(arm: str, seed: int, epochs: int) -> str:
    """The name of a run and of its record, which `RUN` takes apart."""
    return f"{arm}_{epochs}_epochs_seed_{seed}"


def identity(arm: str, seed: int, epochs: int) -> dict:
    """What makes a run this run; its number format is one for all, and noted."""
    config = replace(FAST, epochs=float(epochs), evaluations=epochs, seed=seed)
    settings = {"model": ARMS[arm], "training": config}
    return {"arm": arm, "seed": seed, "corpus": "WikiText-2"} | settings


def run(arm: str, seed: int, epochs: int, precision: str = "auto") -> None:
    """Trains and scores one run, unless its record exists.

    Scored are the weights as they are saved, in 16 bits.
    """
    name, wanted = run_name(arm, seed, epochs), identity(arm, seed, epochs)
    target = RECORDS / f"{name}.json"
    if read_run(target, wanted, FREE):
        return
    config = replace(wanted["training"], precision=precision)
    found = run_experiment(name, ARMS[arm], config)
    path = ROOT / "runs" / name / f"{name}.safetensors"
    model, tokenizer, _ = load_model(path)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    corpus = require_wikitext()
    for split in ("validation", "test"):
        found[split] = final_scores(model, tokenizer, getattr(corpus, split))
    record.write(target, {"arm": arm} | found)


def row_of(found: dict) -> dict:
    """What counts of one run, from its record."""
    best = min(found["history"], key=lambda entry: entry["validation_loss"])
    return {
        "seed": found["seed"],
        "loss": found["validation"]["packed"]["loss"],
        "accuracy": found["validation"]["packed"]["accuracy"],
        "sentences_accuracy": found["validation"]["sentences"]["accuracy"],
        "test_loss": found["test"]["packed"]["loss"],
        "test_accuracy": found["test"]["packed"]["accuracy"],
        "gap": best["validation_loss"] - best["train_loss"],
        "best_epoch": best["epoch"],
        "hours": found["history"][-1]["seconds"] / 3_600,
    }


def summary_of(runs: list[tuple[dict, dict]]) -> dict:
    """Means over the seeds of one arm, and the runs behind them: hardware and row."""
    rows = sorted((row for _, row in runs), key=lambda row: row["seed"])
    keys = [key for key in rows[0] if key != "seed"]
    means = {key: student([row[key] for row in rows]) for key in keys}
    return {"means": means, "runs": rows, "hardware": runs[0][0]}


def paired(arm: dict, base: dict) -> dict:
    """Differences of an arm to the one without dropout, over the seeds of both."""
    pairs = [
        (a, b) for a in arm["runs"] for b in base["runs"] if a["seed"] == b["seed"]
    ]
    found = {}
    for key in ("loss", "accuracy", "gap", "test_loss", "test_accuracy"):
        values = [a[key] - b[key] for a, b in pairs]
        if values:
            found[key] = student(values) | {"values": values}
    return found


def recipe_of(found: dict) -> dict:
    """What the runs of one budget must have in common, or they are not comparable."""
    training = asdict(TrainConfig(**found["training"]))
    varied = {k: v for k, v in training.items() if k not in ("seed", *FREE)}
    return varied | {"number_format": found["number_format"]}


def summarise() -> dict:
    """The study's table, from the records of its runs; written to `SUMMARY`.

    ValueError if one is not of its arm as declared, or of another number format than
    the others of its budget.
    """
    budgets, recipes = {}, {}
    for path in sorted(RECORDS.glob("*.json")):
        if not (parts := RUN.fullmatch(path.stem)):
            raise ValueError(f"{path} is named after no run of this study.")
        arm, epochs, seed = parts.groups()
        require_name(path, run_name(arm, int(seed), int(epochs)))
        found = read_run(path, identity(arm, int(seed), int(epochs)), FREE)
        with readable(path):
            recipe, row = recipe_of(found), (found["hardware"], row_of(found))
        if recipes.setdefault(epochs, recipe) != recipe:
            raise ValueError(f"{path} is in another number format; compare within one.")
        budgets.setdefault(epochs, {}).setdefault(arm, []).append(row)
    if not budgets:
        raise ValueError(f"There are no runs in {RECORDS}; leave out --summary.")
    result = {"recipes": recipes, "budgets": {}}
    for epochs, arms in budgets.items():
        table = {arm: summary_of(arms[arm]) for arm in ARMS if arm in arms}
        for arm in table.keys() - {"none"}:
            if "none" in table:
                table[arm]["minus_none"] = paired(table[arm], table["none"])
        result["budgets"][epochs] = table
    path = RECORDS.parent / "references.json"
    if not path.exists():
        _, tokenizer, data, _ = prepare(ModelConfig(), 0)
        record.write(path, references(data, len(tokenizer)))
    result["references"] = read_references(path)
    record.write(SUMMARY, result)
    return result


def wasted_shares(tokenizer, lines: list[str], length: int) -> dict[str, float]:
    """Share of [PAD] in each way to make rows of a text."""
    ids = encode_lines(tokenizer, lines)
    ways = {
        "pad": pad(ids, length),
        "bucket": bucket(ids, length, FAST.batch_size, seeded(0)),
        "pack": pack(ids, length),
    }
    return {way: wasted_share(rows) for way, rows in ways.items()}


def ship(epochs: int) -> None:
    """Copies weights and record of the seed of median loss to where notebooks read."""
    table = record.read(SUMMARY)["budgets"].get(str(epochs), {})
    if missing := ", ".join(arm for arm in SHIPPED if arm not in table):
        raise ValueError(f"There are no runs of {epochs} epochs of: {missing}.")
    lines, length = require_wikitext().train, ModelConfig().max_length
    tokenizer = WordTokenizer.train(lines, ModelConfig().vocab_size)
    wasted = wasted_shares(tokenizer, lines, length)
    for arm, shipped in SHIPPED.items():
        rows = sorted(table[arm]["runs"], key=lambda row: row["loss"])
        seed = rows[(len(rows) - 1) // 2]["seed"]
        name = run_name(arm, seed, epochs)
        model, tokenizer, _ = load_model(ROOT / "runs" / name / f"{name}.safetensors")
        found = record.read(RECORDS / f"{name}.json")
        info = {"name": shipped, "run": name} | {
            key: found[key] for key in ("corpus", "seed", "validation")
        }
        save_model(ROOT / "weights" / f"{shipped}.safetensors", model, tokenizer, info)
        tokenizer.save(ROOT / "weights" / "vocabulary.json")
        found |= {"name": shipped, "wasted": wasted}
        record.write(RECORDS.parent / f"{shipped}.json", found)


def draw() -> None:
    """Redraws every figure of the study from its records."""
    folder, summary = ROOT / "plots", record.read(SUMMARY)
    records = [
        record.read(RECORDS.parent / f"{name}.json") for name in SHIPPED.values()
    ]
    runs = [record.read(path) for path in sorted(RECORDS.glob("*.json"))]
    figures = {
        "dropout_comparison_subplots.png": training_curves(records),
        "true_vs_pred.png": true_vs_pred(records[1]),
        "dropout_study.png": dropout_study(summary, runs),
    }
    for name, figure in figures.items():
        write_whole(folder / name, png(figure))


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, then summarises and draws."""
    gpu = torch.cuda.is_available()
    epochs, seeds = (50, 5) if gpu else (8, 3)
    parser = command(
        "dropout",
        "Train every arm of the dropout study over its seeds, resumable; runs whose "
        "record exists are skipped. Then write the summary and the figures.",
    )
    precisions = TRAIN_VALUES["precision"]
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=SEED, default=list(range(seeds)))
    parser.add_argument("--epochs", type=EPOCHS, default=epochs)
    parser.add_argument("--precision", choices=precisions, default="auto")
    parser.add_argument("--summary", action="store_true", help="train nothing")
    parser.add_argument("--ship", action="store_true", help="replace shipped weights")
    given = parser.parse_args(arguments)
    # The two outer arms of all seeds first: they answer the question.
    jobs = [(arm, seed) for seed in given.seeds for arm in given.arms]
    jobs.sort(key=lambda job: job[0] == "attention")
    with parser.one_sentence():
        require_wikitext()
        for arm, seed in () if given.summary else jobs:
            print(f"{arm}, seed {seed}, {given.epochs} epochs", flush=True)
            run(arm, seed, given.epochs, given.precision)
        summarise()
        if given.ship:
            ship(given.epochs)
        draw()


if __name__ == "__main__":
    main()
