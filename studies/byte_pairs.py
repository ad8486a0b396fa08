"""A model that knows every word: byte pairs beside the series' 2,000 words.

`python -m studies.byte_pairs --help`. The model is trained for fifty epochs, as the
shipped model without dropout was, with the same recipe and seed. A loss per token says
nothing across vocabularies, so both are asked the same words (`lab.asked`).
"""

from pathlib import Path

from helpers import ROOT
from helpers.bpe import FIRST_MERGE
from helpers.checkpoint import load_model, save_model
from helpers.model import ModelConfig
from helpers.train import train
from studies.fifty import WHOLE
from studies.lab.asked import asked_places, score_asked
from studies.lab.experiment import best_evaluation, prepare_experiment
from studies.lab.machine import DEVICE
from studies.lab.runs import RECORDS
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table
from studies.lessons.arms import arm_tokenizer
from studies.shipped import ship_weights, shipped_models, shipped_weights

MERGES, SHIPPED = 8_000, "byte_pairs"


def make_byte_pairs_run(arm: Arm, seed: int, folder: Path) -> dict:
    """Trains one run; then asks its best weights, in 16 bits, and the shipped ones."""
    models, tokenizer, corpus, source = shipped_models("no_dropout")
    lines, models = corpus.validation, {"words": (models["no_dropout"], tokenizer)}
    places = asked_places(lines, tokenizer.ids)
    tokenizer = arm_tokenizer(True, arm.model.vocab_size)
    *_, data, model = prepare_experiment(arm.model, seed, tokenizer)
    training = train(model, data, arm.settings(seed)["training"], folder)
    path, info = folder / "best.safetensors", {"corpus": corpus.name, "seed": seed}
    save_model(path, model, tokenizer, info)
    models["pieces"] = load_model(path, tokenizer)[:2]
    asked = {
        name: score_asked(model.to(DEVICE), tokenizer, lines, places)
        | {"weights": sum(weight.numel() for weight in model.parameters())}
        for name, (model, tokenizer) in models.items()
    }
    made = {"number_format": str(training.dtype), "history": training.history}
    return source | made | {"asked": asked}


def byte_pairs_table(results: StudyResults) -> str:
    """What each model makes of the words, as a Markdown table."""
    titles = ["Tokens", "Weights", "Tokens per word, frequent and rare"]
    titles += ["Frequent words right", "Rare words right"]
    titles += ["Bits per character, frequent", "Bits per character, rare"]
    run, rows = results.runs["pieces"][results.study.seeds[0]], []
    for name, shown in (("words", "2,000 words"), ("pieces", "8,000 byte pairs")):
        kinds = [run["asked"][name][kind] for kind in ("shared", "rare")]
        cells = [shown, f"{run['asked'][name]['weights'] / 1e6:.1f} million"]
        cells.append(" and ".join(f"{kind['tokens'] or 1:.2f}" for kind in kinds))
        cells += [f"{100 * kind['right']:.1f} %" for kind in kinds]
        cells += [f"{k['bits']:.2f}" if k["held"] else "unknown" for k in kinds]
        rows.append(cells)
    return markdown_table(titles, rows)


STUDY = Study(
    "byte_pairs",
    "Train a model of byte pairs, resumable, and compare it with the shipped model of "
    "words; a run whose record exists is skipped.",
    folder=RECORDS / "byte_pairs",
    states=ROOT / "runs" / "byte_pairs",
    arms={"pieces": Arm(ModelConfig(vocab_size=FIRST_MERGE + MERGES), WHOLE)},
    make=make_byte_pairs_run,
    seeds=[2],
    readings={"loss": lambda run: best_evaluation(run["history"])["validation_loss"]},
    table=byte_pairs_table,
)


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, ships the byte pairs if asked to, then reports."""
    parser = STUDY.parser()
    parser.add_argument("--ship", action="store_true", help="replace shipped weights")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if given.ship:
            tokenizer = arm_tokenizer(True, FIRST_MERGE + MERGES)
            _, model, info = shipped_weights(STUDY.results(), "pieces", tokenizer)
            ship_weights(SHIPPED, model, tokenizer, info)
        elif not given.summary:
            STUDY.make_missing(given.arms, given.seeds, given.processes)
        STUDY.report()


if __name__ == "__main__":
    main()
