"""A model that knows every word: byte pairs beside the series' 2,000 words.

`python -m studies.byte_pairs --help`. Two models without dropout have the fast recipe
and equally many epochs; they differ in their tokens alone. A loss a token says nothing
across vocabularies, so both are asked the same words (`studies.lab.asked`).
"""

from dataclasses import dataclass, replace
from pathlib import Path

from helpers.bpe import FIRST_MERGE, BPETokenizer
from helpers.checkpoint import load_model, save_model
from helpers.model import ModelConfig
from helpers.tokenizer import WordTokenizer
from helpers.train import train
from studies.lab.asked import asked_places, score_asked
from studies.lab.experiment import best_evaluation, prepare_experiment
from studies.lab.machine import DEVICE
from studies.lab.runs import FAST, RECORDS
from studies.lab.scored_text import require_wikitext
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table
from studies.lessons.arms import arm_tokenizer
from studies.shipped import ship_best_weights

EPOCHS, MERGES, SHIPPED = 8, 8_000, "byte_pairs"
TRAINING = replace(FAST, epochs=float(EPOCHS), evaluations=EPOCHS, precision="bfloat16")


@dataclass(frozen=True)
class TokensArm(Arm):
    """A model whose tokens are words or, if `pieces`, byte pairs."""

    pieces: bool = False

    @property
    def tokenizer(self) -> WordTokenizer | BPETokenizer:
        return arm_tokenizer(self.pieces, self.model.vocab_size)


def make_byte_pairs_run(arm: TokensArm, seed: int, folder: Path) -> dict:
    """Trains one run, whose best weights are asked as they are saved, in 16 bits."""
    corpus, tokenizer = require_wikitext(), arm.tokenizer
    *_, data, model = prepare_experiment(arm.model, seed, tokenizer)
    training = train(model, data, arm.settings(seed)["training"], folder)
    path, info = folder / "best.safetensors", {"corpus": corpus.name, "seed": seed}
    save_model(path, model, tokenizer, info)
    best, lines = load_model(path, tokenizer)[0].to(DEVICE), corpus.validation
    places = asked_places(lines, STUDY.arms["words"].tokenizer.ids)
    return {
        "number_format": str(training.dtype),
        "weights": sum(weight.numel() for weight in model.parameters()),
        "history": training.history,
        "asked": score_asked(best, tokenizer, lines, places),
    }


def byte_pairs_table(results: StudyResults) -> str:
    """What each model makes of the words, as a Markdown table, a row a run."""
    titles = ["Tokens", "Weights", "Tokens a word, frequent and rare"]
    titles += ["Frequent words right", "Rare words right"]
    titles += ["Bits a character, frequent", "Bits a character, rare"]
    rows = []
    for arm, runs in results.runs.items():
        for run in runs.values():
            asked = [run["asked"][kind] for kind in ("shared", "rare")]
            rows.append(
                [
                    "8,000 byte pairs" if arm == "pieces" else "2,000 words",
                    f"{run['weights'] / 1e6:.1f} million",
                    " and ".join(f"{a['tokens'] or 1:.2f}" for a in asked),
                    *(f"{a['right']:.1%}" for a in asked),
                    *(f"{a['bits']:.2f}" if a["held"] else "unknown" for a in asked),
                ]
            )
    return markdown_table(titles, rows)


STUDY = Study(
    "byte_pairs",
    "Train a model of words and a model of byte pairs, resumable; runs whose record "
    "exists are skipped. Then print what both know.",
    folder=RECORDS / "byte_pairs",
    arms={
        "words": TokensArm(ModelConfig(), TRAINING),
        "pieces": TokensArm(
            ModelConfig(vocab_size=FIRST_MERGE + MERGES), TRAINING, pieces=True
        ),
    },
    make=make_byte_pairs_run,
    seeds=[0],
    alike=("number_format",),
    readings={
        "best": lambda run: best_evaluation(run["history"])["validation_loss"],
        "shared": lambda run: 100 * run["asked"]["shared"]["right"],
        "rare": lambda run: 100 * run["asked"]["rare"]["right"],
    },
    table=byte_pairs_table,
)


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, ships the byte pairs if asked to, then reports."""
    parser = STUDY.parser()
    parser.add_argument("--ship", action="store_true", help="replace shipped weights")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if not given.summary:
            STUDY.make_missing(given.arms, given.seeds, given.processes)
        if given.ship:
            tokenizer = STUDY.arms["pieces"].tokenizer
            ship_best_weights(STUDY.results(), "pieces", SHIPPED, tokenizer)
        STUDY.report()


if __name__ == "__main__":
    main()
