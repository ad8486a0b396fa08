"""How soon is a model as good as a plain recipe makes it in 50 epochs?

`python -m studies.speedrun` trains once, in `STEPS` steps, and compares what it reached
with two baselines, both BERT's model: *plain* has a constant rate after its warm-up,
*scheduled* has a rate that falls to 0. `--baselines` trains these, resumable: their
rate is chosen from three by trials of `TRIAL` epochs, then 50 epochs are run, of one
seed; with a constant rate they go on from the trial. `--time` takes the steps of all
three in turn, on a machine that should be idle.

The entry's time is that of its whole process, from its start until the weights are
saved. A baseline's is that of its steps alone, up to its best evaluation, whose weights
count: the entry's seconds a step, times the ratio of their steps taken in turn. Every
word of the validation text is scored.
"""

import argparse
import json
import time
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial

import psutil
import torch

from helpers import ROOT, record
from helpers.checkpoint import save_model
from helpers.data import steps_per_epoch
from helpers.experiment import prepare
from helpers.figure import png
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig, pick_dtype
from helpers.train import TrainingRun, identity, train, train_step
from studies.figures import time_to_quality
from studies.intervals import mean_interval, one_sided_p
from studies.runs import fewer, lengthen, whole_score
from studies.throughput import spread, take_turns

STEPS = 1_200
EPOCHS, TRIAL, WARM_UP = 50, 8, 500  # epochs, epochs and steps of a baseline
RATES = 3e-4, 1e-3, 2e-3
PLAIN = TrainConfig(masks="independent", precision="bfloat16")
MUON = replace(PLAIN, optimizer="muon", learning_rate=4e-3, masks="fixed")
RECIPES = {
    "entry": (ModelConfig(), replace(MUON, mask_rate=0.3, last_mask_rate=0.3)),
    "plain": (ModelConfig.bert(), replace(PLAIN, cooldown=0.0)),
    "scheduled": (ModelConfig.bert(), PLAIN),
}
BASELINES = "plain", "scheduled"
ROUNDS, LIMIT = 40, 120  # of timing: steps of each kind, seconds
RECORDS = ROOT / "plots" / "records" / "speedrun"
SUMMARY = RECORDS.with_suffix(".json")


def settings(arm: str, total: int, per_epoch: int, **more) -> TrainConfig:
    """How a run of `total` steps is trained; a baseline warms up for `WARM_UP`."""
    config = replace(RECIPES[arm][1], epochs=total / per_epoch, **more)
    return config if arm == "entry" else replace(config, warmup=WARM_UP / total)


def known(name: str, wanted: dict) -> dict | None:
    """A run's record if there is one; ValueError if it is of another run."""
    path = RECORDS / f"{name}.json"
    if not path.exists():
        return None
    found = record.read(path)
    for key, value in wanted.items():
        if found[key] != value:
            raise ValueError(f"{path} has another {key}; move it away.")
    return found


def run_name(arm: str, rate: float, epochs: float) -> str:
    """The name of a baseline's run and of its record."""
    return f"{arm}_rate_{rate:g}_{epochs:g}_epochs"


def baseline(arm: str, rate: float, epochs: float) -> dict:
    """One run of a baseline, resumable; its record if that exists.

    A run that diverges is recorded without a loss.
    """
    name = run_name(arm, rate, epochs)
    _, _, data, model = prepare(RECIPES[arm][0], 0)
    per_epoch = steps_per_epoch(data.stream, 64, PLAIN.batch_size)
    total, evaluations = round(epochs * per_epoch), max(1, round(epochs))
    often = {"evaluations": evaluations, "patience": 10**6}
    config = settings(arm, total, per_epoch, learning_rate=rate, **often)
    wanted = {
        "text_length": len(data.stream),
        "model": asdict(model.config),
        "training": asdict(config),
    }
    if found := known(name, wanted):
        return found
    print(name, flush=True)
    found = {"name": name, "arm": arm, "rate": rate, "hardware": record.hardware()}
    found |= wanted | {"steps": total, "validation": None, "best_step": None}
    folder = ROOT / "runs" / f"speedrun_{name}"
    if config.cooldown == 0.0 and epochs > TRIAL:
        trial = folder.with_name(f"speedrun_{run_name(arm, rate, TRIAL)}")
        lengthen(trial, folder, identity(model, data, config))
    with suppress(FloatingPointError):
        history = train(model, fewer(data, 512), config, folder)
        best = min(history, key=lambda entry: entry["validation_loss"])
        found |= {
            "validation": whole_score(model, data.validation_BT, data.subset_BT),
            "best_step": best["step"],
        }
        keys = "step", "epoch", "validation_loss"
        found["history"] = [{key: entry[key] for key in keys} for entry in history]
    record.write(RECORDS / f"{name}.json", found)
    return found


def best_trial(arm: str) -> dict:
    """The trial with the lowest validation loss."""
    trials = [baseline(arm, rate, TRIAL) for rate in RATES]
    return min(
        (found for found in trials if found["validation"]),
        key=lambda found: found["validation"]["loss"],
    )


def entry(seed: int) -> dict:
    """The run against the clock, which started with this process."""
    _, tokenizer, data, model = prepare(RECIPES["entry"][0], seed)
    per_epoch = steps_per_epoch(data.stream, 64, PLAIN.batch_size)
    config = settings("entry", STEPS, per_epoch, seed=seed, evaluations=1)
    history = train(model, fewer(data, 64), config)
    name = f"entry_{STEPS}_steps_seed_{seed}"
    path = ROOT / "runs" / f"speedrun_{name}.safetensors"
    save_model(path, model, tokenizer, {"name": name, "seed": seed})
    seconds = time.time() - psutil.Process().create_time()
    found = {
        "name": name,
        "seed": seed,
        "hardware": record.hardware(),
        "text_length": len(data.stream),
        "model": asdict(model.config),
        "training": asdict(config),
        "steps": history[-1]["step"],
        "seconds": seconds,
        "seconds_in_steps": history[-1]["seconds"],
        "validation": whole_score(model, data.validation_BT, data.subset_BT),
    }
    record.write(RECORDS / f"{name}.json", found)
    return found


def step_times() -> dict:
    """How long a step of each recipe takes beside one of the entry, taken in turn.

    Quartiles of seconds, and of the ratios within each round.
    """
    steps = {}
    for name, (model_config, config) in RECIPES.items():
        _, _, data, model = prepare(model_config, config.seed)
        ids_BT = data.sample_BT[: config.batch_size]
        run = TrainingRun(model, config, pick_dtype(model, ids_BT, config.precision))
        steps[name] = partial(train_step, run, ids_BT, config, 10**6)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = take_turns(steps, ROUNDS, LIMIT, device)
    result = {"hardware": record.hardware(), "rounds": len(found["entry"])}
    for name, seconds in found.items():
        ratios = [a / b for a, b in zip(seconds, found["entry"], strict=True)]
        result[name] = {"seconds": spread(seconds), "ratio": spread(ratios)}
    record.write(RECORDS / "times.json", result)
    return result


def summarise() -> dict:
    """What was reached, in which time, by the runs there are; written to `SUMMARY`.

    ValueError if the entries and the timing are not of the same hardware.
    """
    pattern = f"entry_{STEPS}_steps_seed_*.json"
    entries = [record.read(path) for path in sorted(RECORDS.glob(pattern))]
    times = record.read(RECORDS / "times.json")
    for found in entries:
        same = found["hardware"] == times["hardware"]
        if not same or found["model"] != entries[0]["model"]:
            raise ValueError(f"{found['name']} is of other hardware or another model.")
    losses = [found["validation"]["loss"] for found in entries]
    whole = mean_interval([found["seconds"] for found in entries])
    per_step = mean_interval([found["seconds_in_steps"] for found in entries])
    loss = mean_interval(losses)
    rate = RECIPES["entry"][1].learning_rate
    result = {"steps": STEPS, "rate": rate, "loss": loss, "seconds": whole}
    result = {"entry": result, "hardware": times["hardware"]}
    for arm in BASELINES:
        if not any(RECORDS.glob(f"{arm}_*_{EPOCHS:g}_epochs.json")):
            continue
        rate = best_trial(arm)["rate"]
        found = baseline(arm, rate, EPOCHS)
        target = found["validation"]["loss"]
        seconds = found["best_step"] * per_step["mean"] / STEPS
        seconds *= times[arm]["ratio"][1]
        reached = loss["mean"] <= target
        result[arm] = {
            "rate": rate,
            "steps": found["best_step"],
            "loss": target,
            "seconds": seconds,
            "times_faster": seconds / whole["mean"] if reached else None,
            "p": one_sided_p(losses, target) if len(losses) > 1 else None,
        }
    record.write(SUMMARY, result)
    return result


def main() -> None:
    """One entry; or the baselines, the timing, the summary."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.speedrun",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="of the entry (default 0)")
    parser.add_argument("--baselines", nargs="*", choices=BASELINES, metavar="ARM")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--summary", action="store_true")
    given = parser.parse_args()
    if given.baselines is not None:
        for arm in given.baselines or BASELINES:
            baseline(arm, best_trial(arm)["rate"], EPOCHS)
    elif given.time:
        print(step_times())
    elif given.summary:
        summary = summarise()
        print(json.dumps(summary, indent=1))
        runs = [
            baseline(a, summary[a]["rate"], EPOCHS) for a in BASELINES if a in summary
        ]
        picture = png(time_to_quality(summary, runs))
        (ROOT / "plots" / "time_to_quality.png").write_bytes(picture)
    else:
        found = entry(given.seed)
        print(
            f"{found['validation']['loss']:.3f} nats after {found['steps']:,} steps, "
            f"{found['seconds']:.0f} s from the start of the process"
        )


if __name__ == "__main__":
    main()
