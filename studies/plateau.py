"""Why does a model say the same word everywhere at first, and what ends that?

`python -m studies.plateau` trains the series' model with learned, sinusoidal and rotary
positions until some way past the unigram plateau, at a constant rate that is chosen for
each of them from three by its own seed 0, then over three seeds. The hypothesis: what
takes long is to learn which positions are neighbours, and rotary positions tell that
from the start. The control, one run, cannot tell positions apart at all. Evaluated
often, on a part of the validation text.
"""

from dataclasses import replace
from pathlib import Path

from helpers import ROOT, record
from helpers.checkpoint import load_state
from helpers.corpus import require_wikitext
from helpers.curves import true_vs_pred
from helpers.data import steps_per_epoch
from helpers.evaluate import unigram
from helpers.figure import png
from helpers.files import write_whole
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.train import train
from studies.figures import plateau_study
from studies.lab.samples import samples
from studies.lab.command import COUNT, command
from studies.lab.experiment import prepare
from studies.lab.runs import LENGTH, read_run, readable, same_start, subsample
from studies.lab.stats import student
from studies.plateau_runs import CONTROL, RECORDS, SUMMARY, run_name
from studies.tables import plateau_table

POSITIONS = "rotary", "sinusoidal", "learned"
RATES = 5e-4, 1e-3, 2e-3
STEPS, WARM_UP, EVERY = 1_200, 100, 40  # of a run, of its start, between evaluations
EVALUATED = range(0, STEPS + 1, EVERY)
BLOCKS = 512  # of the validation text
PARTS = "number_format", "history.step", "history.validation_loss"  # of a record
LEFT = 0.5  # nats below the unigram loss at which the plateau counts as left
RECIPE = TrainConfig(
    warmup=WARM_UP / STEPS,
    cooldown=0.0,
    evaluations=STEPS // EVERY,
    patience=10**6,
    precision="bfloat16",
)
SHOWN = 400  # the step whose predictions are laid side by side


def step_left(history: list[dict], unigram_loss: float) -> int | None:
    """The first evaluation well below the unigram loss; None if there was none."""
    below = [e for e in history if e["validation_loss"] < unigram_loss - LEFT]
    return below[0]["step"] if below else None


def read(target: Path, wanted: dict) -> dict | None:
    """A run's record if there is one, cut to the steps and evaluations of this study.

    A longer run will do as well, in whichever way its number format was chosen.
    ValueError if it is of another run.
    """
    found = read_run(target, wanted, (*LENGTH, "precision"), PARTS)
    if found is None:
        return None
    made = TrainConfig(**found["training"] | {"precision": RECIPE.precision})
    history = [
        entry
        for entry in found["history"]
        if entry["step"] % EVERY == 0 and entry["step"] <= STEPS
    ]
    steps = [entry["step"] for entry in history]
    if not same_start(made, wanted["training"]) or steps != [*EVALUATED]:
        raise ValueError(f"{target} holds another run: its warm-up or steps differ.")
    left = step_left(history, found["unigram_loss"])
    return found | {"history": history, "step_left": left}


def run(positions: str, rate: float, seed: int) -> dict:
    """Trains one model, unless its record exists; returns the record as `read` does."""
    name = run_name(positions, rate, seed)
    _, tokenizer, data, model = prepare(ModelConfig(positions=positions), seed)
    data, words = subsample(data, BLOCKS), tokenizer.words
    chance = unigram(data.stream, data.validation_BT, data.subset_BT, len(words))
    epochs = STEPS / steps_per_epoch(data.stream, 64, RECIPE.batch_size)
    config = replace(RECIPE, epochs=epochs, learning_rate=rate, seed=seed)
    wanted = {
        "model": model.config,
        "training": config,
        "unigram_loss": chance["loss"],  # stands for the text and what is scored of it
    }
    target = RECORDS / f"{name}.json"
    if found := read(target, wanted):
        return found
    print(name, flush=True)
    folder = ROOT / "runs" / f"plateau_{name}"
    history = train(model, data, config, folder)
    found = {
        "name": name,
        "positions": positions,
        "rate": rate,
        "seed": seed,
        "hardware": record.hardware(),
        **record.plain(wanted),
        "number_format": str(load_state(folder / "state.pt")["dtype"]),
        "step_left": step_left(history, chance["loss"]),
        "samples": samples(history, chance["loss"], data.validation_BT, words),
        "history": history,
    }
    record.write(target, found)
    return read(target, wanted)


def best_rate(runs: list[dict]) -> float:
    """The rate that leaves the plateau first; among equals, that of the lowest loss."""

    def rank(found: dict) -> tuple:
        lowest = min(entry["validation_loss"] for entry in found["history"])
        return found["step_left"] or STEPS + 1, lowest

    return min(runs, key=rank)["rate"]


def sample_at(found: dict, step: int, words: list[str]) -> dict:
    """What a run says at `step` for its probed words, in the form of its samples."""
    entry = next(e for e in found["history"] if e["step"] == step)
    predictions = [
        said | {"pred": words[probe["predicted"]], "p": probe["p"]}
        for said, probe in zip(
            found["samples"][0]["predictions"], entry["probes"], strict=True
        )
    ]
    return {
        "phase": found["positions"],
        "step": step,
        "most_predicted": words[entry["most_predicted"]],
        "most_predicted_share": entry["most_predicted_share"],
        "predictions": predictions,
    }


def summarise(
    trials: dict[str, list[dict]],
    arms: dict[str, list[dict]],
    control: dict,
    words: list[str],
) -> dict:
    """The study's table: steps to leave the plateau, by kind of positions.

    Of seed 0 at each rate, and of all seeds at the best one. A seed that stayed on it
    to the end makes the mean a lower bound, and is counted.
    With it the lowest loss of the control, and the words of the first seeds at step
    `SHOWN`.
    """
    rows, everything = {}, [*sum([*trials.values(), *arms.values()], []), control]
    formats = {found["number_format"] for found in everything}
    for positions, runs in arms.items():
        left = [found["step_left"] for found in runs]
        rows[positions] = {
            "trials": [found["step_left"] for found in trials[positions]],
            "rate": runs[0]["rate"],
            "seeds": [found["seed"] for found in runs],
            "steps": left,
            "never": left.count(None),
            "mean": student([step or STEPS for step in left]),
        }
    if len(formats) > 1:
        raise ValueError(f"The runs are in {sorted(formats)}; compare within one.")
    result = {"steps": STEPS, "left": LEFT, "rates": RATES, "arms": rows}
    result |= {"unigram_loss": everything[0]["unigram_loss"]}
    result["control"] = {key: control[key] for key in ("rate", "seed", "step_left")}
    losses = [entry["validation_loss"] for entry in control["history"]]
    result["control"]["lowest"] = min(losses)
    result["samples"] = [
        sample_at(runs[0], SHOWN, words) for runs in [*arms.values(), [control]]
    ]
    record.write(SUMMARY, result)
    return result


def study(kinds: list[str], seeds: int) -> None:
    """Runs what is missing; with all kinds of positions, summarises and draws."""
    trials, arms = {}, {}
    for positions in kinds:
        trials[positions] = [run(positions, rate, 0) for rate in RATES]
        rate = best_rate(trials[positions])
        arms[positions] = [run(positions, rate, seed) for seed in range(seeds)]
    if set(arms) == set(POSITIONS):
        words = prepare(ModelConfig(), 0)[1].words
        control = run(*CONTROL)
        summary = summarise(trials, arms, control, words)
        runs = [*sum(arms.values(), []), control]
        figures = {
            "plateau.png": plateau_study(summary, runs),
            "plateau_words.png": true_vs_pred(summary),
        }
        for name, figure in figures.items():
            write_whole(ROOT / "plots" / name, png(figure))
        print(plateau_table(summary))


def main(arguments: list[str] | None = None) -> None:
    """The whole study, or some kinds of positions."""
    parser = command(
        "plateau",
        "Train with three kinds of positions past the unigram plateau, resumable; runs "
        "whose record exists are skipped.",
    )
    parser.add_argument("--positions", nargs="+", choices=POSITIONS, default=POSITIONS)
    parser.add_argument("--seeds", type=COUNT, default=3, help="how many")
    given = parser.parse_args(arguments)
    if set(given.positions) == set(POSITIONS) and SUMMARY.exists():
        with parser.one_sentence(), readable(SUMMARY):
            arms = record.read(SUMMARY)["arms"].values()
            most = max(len(row["seeds"]) for row in arms)
        if given.seeds < most:
            parser.error(
                f"--seeds is {given.seeds}, and {SUMMARY} is of {most}, which fewer "
                f"would replace; choose a whole number from {most}."
            )
    with parser.one_sentence():
        require_wikitext()
        study(given.positions, given.seeds)


if __name__ == "__main__":
    main()
