"""Why does a model say the same word everywhere at first, and what ends that?

`python -m studies.plateau` trains the series' model with learned, sinusoidal and rotary
positions until some way past the unigram plateau, at a constant rate that is chosen for
each of them from three by its own seed 0, then over three seeds. The hypothesis: what
takes long is to learn which positions are neighbours, and rotary positions tell that
from the start. Evaluated often, on a part of the validation text.
"""

import argparse
from dataclasses import asdict, replace

from helpers import ROOT, record
from helpers.checkpoint import load_state
from helpers.data import steps_per_epoch
from helpers.evaluate import unigram
from helpers.figure import png
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.train import train
from studies.figures import plateau_study
from studies.intervals import mean_interval
from studies.start import fewer, start

POSITIONS = "rotary", "sinusoidal", "learned"
RATES = 5e-4, 1e-3, 2e-3
STEPS, BLOCKS = 2_000, 512
LEFT = 0.5  # nats below the unigram loss at which the plateau counts as left
RECIPE = TrainConfig(warmup=0.05, cooldown=0.0, evaluations=50, patience=10**6)
RECORDS = ROOT / "plots" / "records" / "plateau"
SUMMARY = RECORDS.with_suffix(".json")


def step_left(history: list[dict], unigram_loss: float) -> int | None:
    """The first evaluation well below the unigram loss; None if there was none."""
    below = [e for e in history if e["validation_loss"] < unigram_loss - LEFT]
    return below[0]["step"] if below else None


def run(positions: str, rate: float, seed: int) -> dict:
    """Trains one model, unless its record exists; returns the record."""
    name = f"{positions}_rate_{rate:g}_seed_{seed}"
    target = RECORDS / f"{name}.json"
    if target.exists():
        return record.read(target)
    print(name, flush=True)
    data, tokenizer, model = start(ModelConfig(positions=positions), seed)
    data, words = fewer(data, BLOCKS), tokenizer.words
    epochs = STEPS / steps_per_epoch(data.stream, 64, RECIPE.batch_size)
    config = replace(RECIPE, epochs=epochs, learning_rate=rate, seed=seed)
    folder = ROOT / "runs" / f"plateau_{name}"
    history = train(model, data, config, folder)
    chance = unigram(data.stream, data.validation_BT, data.subset_BT, len(words))
    found = {
        "name": name,
        "positions": positions,
        "rate": rate,
        "seed": seed,
        "hardware": record.hardware(),
        "model": asdict(model.config),
        "training": asdict(config),
        "number_format": str(load_state(folder / "state.pt")["dtype"]),
        "unigram_loss": chance["loss"],
        "step_left": step_left(history, chance["loss"]),
        "samples": record.samples(history, chance["loss"], data.validation_BT, words),
        "history": history,
    }
    record.write(target, found)
    return found


def best_rate(runs: list[dict]) -> float:
    """The rate that leaves the plateau first; of those that do not, the lowest loss."""

    def rank(found: dict) -> tuple:
        lowest = min(entry["validation_loss"] for entry in found["history"])
        return found["step_left"] or STEPS + 1, lowest

    return min(runs, key=rank)["rate"]


def summarise(arms: dict[str, list[dict]]) -> dict:
    """The study's table: steps to leave the plateau, by kind of positions.

    A seed that stayed on it to the end makes the mean a lower bound, and is counted.
    """
    rows = {}
    for positions, runs in arms.items():
        left = [found["step_left"] for found in runs]
        rows[positions] = {
            "rate": runs[0]["rate"],
            "seeds": [found["seed"] for found in runs],
            "steps": left,
            "never": left.count(None),
            "mean": mean_interval([step or STEPS for step in left]),
        }
    result = {"steps": STEPS, "left": LEFT, "rates": RATES, "arms": rows}
    record.write(SUMMARY, result)
    return result


def main() -> None:
    """Runs what is missing, then summarises and draws."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.plateau",
        description="Train with three kinds of positions past the unigram plateau, "
        "resumable; runs whose record exists are skipped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--positions", nargs="+", choices=POSITIONS, default=POSITIONS)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    given = parser.parse_args()
    arms = {}
    for positions in given.positions:
        rate = best_rate([run(positions, rate, 0) for rate in RATES])
        arms[positions] = [run(positions, rate, seed) for seed in range(given.seeds)]
    if set(arms) == set(POSITIONS):
        summary = summarise(arms)
        figure = plateau_study(summary, [r for runs in arms.values() for r in runs])
        (ROOT / "plots" / "plateau.png").write_bytes(png(figure))


if __name__ == "__main__":
    main()
