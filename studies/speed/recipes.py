"""The recipes of the speedrun: its entry, its two baselines, and their records."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from helpers import ROOT
from helpers.checkpoint import save_model
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import read_record, require_same_record, write_record
from helpers.train import train
from studies.lab import timing
from studies.lab.experiment import experiment_part, prepare_experiment
from studies.lab.machine import hardware
from studies.lab.runs import ADVICE, FAST, RECORDS, read_run, recorded_run, run_paths
from studies.lab.scored_text import score
from studies.lab.study import Arm

STEPS = 2_400  # of the entry; fixed before its first run
EPOCHS, TRIAL, WARM_UP = 50, 8, 500  # epochs, epochs and steps of a baseline
PER_EPOCH = 514  # steps of 64 blocks in one pass over WikiText-2
RATES = 3e-4, 1e-3, 2e-3
PLAIN = TrainConfig(masks="independent", precision="bfloat16")
RECIPES = {
    "entry": Arm(ModelConfig(), replace(FAST, precision="bfloat16")),
    "plain": Arm(ModelConfig.bert(), replace(PLAIN, cooldown=0.0)),
    "scheduled": Arm(ModelConfig.bert(), PLAIN),
}
BASELINES = "plain", "scheduled"
ROUNDS, LIMIT = 40, 120  # of timing: steps of each kind, seconds
FOLDER, STATES = RECORDS / "speedrun", ROOT / "runs"
TIMES = "times.json"
COMMAND = "python -m studies.speed.speedrun"


def recipe_place(name: str, arm: str, steps: int, **changes) -> tuple[Path, dict]:
    """The record of a run of so many steps, and what makes it this run."""
    training = replace(RECIPES[arm].training, epochs=steps / PER_EPOCH, **changes)
    identity = {"steps": steps, "model": RECIPES[arm].model, "training": training}
    return FOLDER / f"{name}.json", identity


def recipe_entry_place(seed: int) -> tuple[Path, dict]:
    """Where the record of an entry is, evaluated at its end, and what makes it so."""
    name = f"entry_{STEPS}_steps_seed_{seed}"
    return recipe_place(name, "entry", STEPS, seed=seed, evaluations=1)


def recipe_baseline_place(arm: str, rate: float, epochs: float) -> tuple[Path, dict]:
    """The same of a baseline, which warms up and is evaluated after each epoch."""
    steps, name = round(epochs * PER_EPOCH), f"{arm}_rate_{rate:g}_{epochs:g}_epochs"
    often = {"evaluations": max(1, round(epochs)), "patience": 10**6}
    warmup = WARM_UP / steps
    return recipe_place(name, arm, steps, learning_rate=rate, warmup=warmup, **often)


def run_recipe_baseline(arm: str, rate: float, epochs: float) -> dict:
    """Makes one run of a baseline, resumable, unless its record exists; returns that.

    A run that diverges is recorded without a loss.
    """
    path, wanted = recipe_baseline_place(arm, rate, epochs)

    def make() -> dict:
        print(path.stem, flush=True)
        _, _, data, model = prepare_experiment(RECIPES[arm].model, 0)
        scored, folder = experiment_part(data, 512), STATES / f"speedrun_{path.stem}"
        run = {"arm": arm, "rate": rate, "text_length": len(data.stream)}
        try:
            training = train(model, scored, wanted["training"], folder)
        except FloatingPointError:
            return run | {"validation": None, "best_step": None}
        keys = "step", "epoch", "validation_loss"
        return run | {
            "validation": score(model, data.validation_BT, data.subset_BT),
            "best_step": training.stopping.step,
            "history": [{key: e[key] for key in keys} for e in training.history],
        }

    return recorded_run(path, wanted, read_run, make)


def read_recipe_run(arm: str, rate: float, epochs: float) -> dict | None:
    """The record of one run of a baseline, if there is one."""
    return read_run(*recipe_baseline_place(arm, rate, epochs))


def recipe_baseline(arm: str, run=read_recipe_run) -> dict | None:
    """The long run of a baseline, at the best rate of its trials that does not diverge.

    None if a record is missing; `run_recipe_baseline` for `run` makes what is missing.
    ValueError if all diverge.
    """
    trials = [run(arm, rate, TRIAL) for rate in RATES]
    if None in trials:
        return None
    ended = [trial for trial in trials if trial["validation"]]
    for trial in sorted(ended, key=lambda trial: trial["validation"]["loss"]):
        long = run(arm, trial["rate"], EPOCHS)
        if not long or long["validation"]:
            return long
    raise ValueError(f"All runs of {arm} diverged; try lower rates.")


def run_recipe_entry(seed: int) -> dict:
    """Makes the run against the clock, which started with this process.

    ValueError if there is one of this seed: it is not repeated until it is fast.
    """
    import psutil  # which a notebook that only reads may lack

    path, wanted = recipe_entry_place(seed)
    if path.exists():
        raise ValueError(f"{path.stem} has been run; its record is in {FOLDER}.")
    # The clock of the wall can be set; it is read for what was before only.
    before = time.time() - psutil.Process().create_time() - time.monotonic()

    def make() -> dict:
        _, tokenizer, data, model = prepare_experiment(RECIPES["entry"].model, seed)
        training = train(model, experiment_part(data, 64), wanted["training"])
        weights = STATES / f"speedrun_{path.stem}.safetensors"
        save_model(weights, model, tokenizer, {"name": path.stem, "seed": seed})
        return {
            "seed": seed,
            "text_length": len(data.stream),
            "seconds": before + time.monotonic(),
            "seconds_in_steps": training.history[-1]["seconds"],
            "validation": score(model, data.validation_BT, data.subset_BT),
        }

    return recorded_run(path, wanted, read_run, make)


def read_recipe_entries(machine: dict) -> list[dict]:
    """The records of all entries; ValueError without any, or of another `machine`."""
    paths = run_paths(FOLDER, f"entry_{STEPS}_steps_seed_{{seed}}")
    if not paths:
        raise ValueError(f"There is no entry in {FOLDER}; make one: {COMMAND}")
    entries = [read_run(*recipe_entry_place(seed)) for seed in paths]
    for path, run in zip(paths.values(), entries, strict=True):
        if run["hardware"] != machine:
            raise ValueError(f"{path} is of other hardware than the timed steps.")
    return entries


def timed_recipe_step(sizes: ModelConfig, training: TrainConfig) -> Callable:
    """Returns a function that takes a training step on real rows: its seconds."""
    *_, data, model = prepare_experiment(sizes, training.seed)
    step = timing.timed_training_step(model, training)
    ids_BT = data.sample_BT[: training.batch_size]
    return partial(timing.seconds_of, partial(step, ids_BT))


def write_recipe_times(path: Path, arms: dict[str, Arm], turns: dict) -> dict:
    """Times the arms in turn; the record, with ratios to the time of the first one.

    The turn of an arm takes a step of it and returns the seconds.
    """
    times = timing.time_in_turns(turns, ROUNDS, LIMIT)
    first, *_ = times.values()
    result = {"hardware": hardware(), "rounds": len(first)}
    result["recipes"] = {
        name: [asdict(arm.model), asdict(arm.training)] for name, arm in arms.items()
    }
    result |= {n: timing.times_and_ratios(own, first) for n, own in times.items()}
    write_record(path, result)
    return result


def read_recipe_times(path: Path, arms: dict[str, Arm], command: str) -> dict:
    """What `write_recipe_times` wrote; ValueError if nothing, or of other recipes."""
    if not path.exists():
        raise ValueError(f"There is no {path}; make it: {command} --time")
    times = read_record(path)
    for name, arm in arms.items():
        model, training = times["recipes"].get(name, (None, None))
        wanted = {"model": arm.model, "training": arm.training}
        made = {"model": model, "training": training}
        require_same_record(path, made, wanted, advice=ADVICE)
    return times


def time_recipes() -> dict:
    """Times a step of each recipe beside one of the entry; the record."""
    arms = RECIPES.items()
    turns = {name: timed_recipe_step(arm.model, arm.training) for name, arm in arms}
    return write_recipe_times(FOLDER / TIMES, RECIPES, turns)
