"""The runs of the speedrun: recipes, entry, baselines, and their records."""

import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from helpers import ROOT
from helpers.checkpoint import save_model
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import write_record
from helpers.train import train
from studies.lab import timing
from studies.lab.command import RECORDS
from studies.lab.experiment import prepare
from studies.lab.machine import hardware
from studies.lab.runs import (
    FAST,
    by_seed,
    read_run,
    recorded,
    require_run,
    score,
    subsample,
)
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


def place(arm: str, rate: float, epochs: float) -> tuple[Path, dict]:
    """The record of a baseline's run, and what makes it this run.

    It warms up for `WARM_UP` steps and is evaluated after each epoch.
    """
    model, steps = RECIPES[arm].model, round(epochs * PER_EPOCH)
    training = replace(
        RECIPES[arm].training,
        learning_rate=rate,
        epochs=steps / PER_EPOCH,
        warmup=WARM_UP / steps,
        evaluations=max(1, round(epochs)),
        patience=10**6,
    )
    path = FOLDER / f"{arm}_rate_{rate:g}_{epochs:g}_epochs.json"
    return path, {"steps": steps, "model": model, "training": training}


def entry_place(seed: int) -> tuple[Path, dict]:
    """The same of an entry, which takes `STEPS` steps and is evaluated at its end."""
    model, recipe = RECIPES["entry"].model, RECIPES["entry"].training
    training = replace(recipe, seed=seed, epochs=STEPS / PER_EPOCH, evaluations=1)
    path = FOLDER / f"entry_{STEPS}_steps_seed_{seed}.json"
    return path, {"steps": STEPS, "model": model, "training": training}


def baseline(arm: str, rate: float, epochs: float) -> dict:
    """Makes one run of a baseline, resumable, unless its record exists; returns that.

    A run that diverges is recorded without a loss.
    """
    path, wanted = place(arm, rate, epochs)

    def make() -> dict:
        print(path.stem, flush=True)
        _, _, data, model = prepare(RECIPES[arm].model, 0)
        scored, folder = subsample(data, 512), STATES / f"speedrun_{path.stem}"
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

    return recorded(path, wanted, read_run, make)


def best_of(trials: list[dict]) -> dict:
    """Returns the trial with the lowest validation loss; ValueError if all diverged."""
    ended = [run for run in trials if run["validation"]]
    if not ended:
        raise ValueError("All trials diverged; try lower rates.")
    return min(ended, key=lambda run: run["validation"]["loss"])


def entry(seed: int) -> dict:
    """Makes the run against the clock, which started with this process.

    ValueError if there is one of this seed: it is not repeated until it is fast.
    """
    import psutil  # which a notebook that only reads may lack

    path, wanted = entry_place(seed)
    if path.exists():
        raise ValueError(f"{path.stem} has been run; its record is in {FOLDER}.")
    # The clock of the wall can be set; it is read for what was before only.
    before = time.time() - psutil.Process().create_time() - time.monotonic()

    def make() -> dict:
        _, tokenizer, data, model = prepare(RECIPES["entry"].model, seed)
        training = train(model, subsample(data, 64), wanted["training"])
        weights = STATES / f"speedrun_{path.stem}.safetensors"
        save_model(weights, model, tokenizer, {"name": path.stem, "seed": seed})
        return {
            "seed": seed,
            "text_length": len(data.stream),
            "seconds": before + time.monotonic(),
            "seconds_in_steps": training.history[-1]["seconds"],
            "validation": score(model, data.validation_BT, data.subset_BT),
        }

    return recorded(path, wanted, read_run, make)


def read_entries(machine: dict) -> list[dict]:
    """The records of all entries; ValueError without any, or of another `machine`."""
    entries = []
    for seed, path in by_seed(FOLDER, f"entry_{STEPS}_steps_seed_{{seed}}").items():
        entries.append(read_run(*entry_place(seed)))
        if entries[-1]["hardware"] != machine:
            raise ValueError(f"{path} is of other hardware than the timed steps.")
    if not entries:
        raise ValueError(f"There is no entry in {FOLDER}; make one: {COMMAND}")
    return entries


def step_times() -> dict:
    """Times a step of each recipe beside one of the entry, in turn.

    The record has quartiles of the seconds, and of the ratios within each round.
    """
    turns, device = {}, "cuda" if torch.cuda.is_available() else "cpu"
    for name, arm in RECIPES.items():
        _, _, data, model = prepare(arm.model, arm.training.seed)
        step = timing.training_step(model, arm.training)
        ids_BT = data.sample_BT[: arm.training.batch_size]
        turns[name] = partial(timing.seconds_of, partial(step, ids_BT), device)
    times = timing.time_in_turns(turns, ROUNDS, LIMIT)
    result = {"hardware": hardware(), "rounds": len(times["entry"])}
    result["recipes"] = {
        name: [asdict(arm.model), asdict(arm.training)] for name, arm in RECIPES.items()
    }
    for name, seconds in times.items():
        ratio = timing.ratio_spread(seconds, times["entry"])
        result[name] = {"seconds": timing.spread(seconds), "ratio": ratio}
    write_record(FOLDER / TIMES, result)
    return result


def read_times() -> dict:
    """The record of `step_times`; ValueError if there is none, or of other recipes."""
    path = FOLDER / TIMES
    times = read_run(path, {})
    if times is None:
        raise ValueError(f"There is no {path}; make it: {COMMAND} --time")
    for name, (model, training) in times["recipes"].items():
        require_run(path, {"model": model, "training": training}, vars(RECIPES[name]))
    return times
