"""The runs of the speedrun: recipes, entry, baselines, and their records."""

import time
from dataclasses import asdict, replace
from functools import partial

import torch

from helpers import ROOT, record
from helpers.checkpoint import save_model
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.train import train
from studies.lab.command import RECORDS
from studies.lab.experiment import prepare
from studies.lab.machine import hardware
from studies.lab.runs import (
    FAST,
    by_seed,
    read_run,
    readable,
    recorded,
    require_run,
    score,
    subsample,
)
from studies.lab.study import Arm
from studies.lab.timing import (
    ratio_spread,
    seconds_of,
    spread,
    time_in_turns,
    training_step,
)

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
COMMAND = "python -m studies.speed.speedrun"


def settings(arm: str, epochs: float | None = None, **changes) -> dict:
    """What makes a run this run.

    The entry takes `STEPS` steps. A baseline takes `epochs`, warms up for `WARM_UP`
    steps and is evaluated after each epoch.
    """
    recipe = RECIPES[arm]
    steps = STEPS if epochs is None else round(epochs * PER_EPOCH)
    changes |= {"epochs": steps / PER_EPOCH, "evaluations": max(1, round(epochs or 1))}
    if epochs is not None:
        changes |= {"warmup": WARM_UP / steps, "patience": 10**6}
    training = replace(recipe.training, **changes)
    return {"steps": steps, "model": recipe.model, "training": training}


def run_name(arm: str, rate: float, epochs: float) -> str:
    """The name of a baseline's run and of its record."""
    return f"{arm}_rate_{rate:g}_{epochs:g}_epochs"


def read_baseline(arm: str, rate: float, epochs: float) -> dict | None:
    """Reads the record of a baseline's run, if there is one."""
    path = FOLDER / f"{run_name(arm, rate, epochs)}.json"
    return read_run(path, settings(arm, epochs, learning_rate=rate))


def baseline(arm: str, rate: float, epochs: float) -> dict:
    """Makes one run of a baseline, resumable, unless its record exists; returns that.

    A run that diverges is recorded without a loss.
    """
    name = run_name(arm, rate, epochs)
    wanted = settings(arm, epochs, learning_rate=rate)

    def make() -> dict:
        print(name, flush=True)
        _, _, data, model = prepare(RECIPES[arm].model, 0)
        config, scored = wanted["training"], subsample(data, 512)
        folder = STATES / f"speedrun_{name}"
        run = {"arm": arm, "rate": rate, "text_length": len(data.stream)}
        try:
            training = train(model, scored, config, folder)
        except FloatingPointError:
            return run | {"validation": None, "best_step": None}
        keys = "step", "epoch", "validation_loss"
        return run | {
            "validation": score(model, data.validation_BT, data.subset_BT),
            "best_step": training.stopping.step,
            "history": [{key: e[key] for key in keys} for e in training.history],
        }

    return recorded(FOLDER / f"{name}.json", wanted, read_run, make)


def best_of(trials: list[dict]) -> dict:
    """Returns the trial with the lowest validation loss; ValueError if all diverged."""
    ended = [run for run in trials if run["validation"]]
    if not ended:
        raise ValueError("All trials diverged; try lower rates.")
    return min(ended, key=lambda run: run["validation"]["loss"])


def entry_name(seed) -> str:
    """The name of an entry and of its record."""
    return f"entry_{STEPS}_steps_seed_{seed}"


def entry(seed: int) -> dict:
    """Makes the run against the clock, which started with this process.

    ValueError if there is one of this seed: it is not repeated until it is fast.
    """
    import psutil  # which a notebook that only reads may lack

    name = entry_name(seed)
    path, wanted = FOLDER / f"{name}.json", settings("entry", seed=seed)
    if path.exists():
        raise ValueError(f"{name} has been run; its record is in {FOLDER}.")
    # The clock of the wall can be set; it is read for what was before only.
    before = time.time() - psutil.Process().create_time() - time.monotonic()

    def make() -> dict:
        _, tokenizer, data, model = prepare(RECIPES["entry"].model, seed)
        training = train(model, subsample(data, 64), wanted["training"])
        weights = STATES / f"speedrun_{name}.safetensors"
        save_model(weights, model, tokenizer, {"name": name, "seed": seed})
        return {
            "seed": seed,
            "text_length": len(data.stream),
            "seconds": before + time.monotonic(),
            "seconds_in_steps": training.history[-1]["seconds"],
            "validation": score(model, data.validation_BT, data.subset_BT),
        }

    return recorded(path, wanted, read_run, make)


def read_entries() -> list[dict]:
    """Reads the records of all entries; ValueError if there are none."""
    hardware, entries = step_times_of("entry")["hardware"], []
    for seed, path in by_seed(FOLDER, entry_name("{seed}")).items():
        entries.append(read_run(path, settings("entry", seed=seed)))
        if entries[-1]["hardware"] != hardware:
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
        step = training_step(model, arm.training)
        ids_BT = data.sample_BT[: arm.training.batch_size]
        turns[name] = partial(seconds_of, partial(step, ids_BT), device)
    times = time_in_turns(turns, ROUNDS, LIMIT)
    result = {"hardware": hardware(), "rounds": len(times["entry"])}
    result["recipes"] = {
        name: [asdict(arm.model), asdict(arm.training)] for name, arm in RECIPES.items()
    }
    for name, seconds in times.items():
        ratio = ratio_spread(seconds, times["entry"])
        result[name] = {"seconds": spread(seconds), "ratio": ratio}
    record.write(FOLDER / "times.json", result)
    return result


def step_times_of(arm: str) -> dict:
    """Reads the hardware and the median ratio of an arm's step to the entry's."""
    path = FOLDER / "times.json"
    if not path.exists():
        raise ValueError(f"There is no {path}; make it: {COMMAND} --time")
    times = record.read(path)
    with readable(path):
        model, training = times["recipes"][arm]
        row = {"hardware": times["hardware"], "ratio": times[arm]["ratio"][1]}
    require_run(path, {"model": model, "training": training}, vars(RECIPES[arm]))
    return row
