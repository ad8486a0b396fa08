"""How soon is a model as good as a plain recipe makes it in 50 epochs?

`python -m studies.speedrun` trains once, in `STEPS` steps, and compares what it reached
with two baselines, both BERT's model: *plain* has a constant rate after its warm-up,
*scheduled* has this project's falling rate. `--baselines` trains these, resumable:
first their rate is chosen from three by short trials, then 50 epochs are run. `--time`
takes the steps of all three in turn, on a machine that should be idle.

The entry's time is that of its whole process, from its start until the weights are
saved. A baseline's is its steps times the median step and nothing else, which favours
it. Every word of the validation text is scored, with the best evaluation's weights.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

import psutil
import torch

from helpers import ROOT, record
from helpers.checkpoint import save_model
from helpers.data import steps_per_epoch
from helpers.evaluate import TrainingData, evaluate
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig, pick_dtype
from helpers.train import TrainingRun, train, train_step
from studies.intervals import mean_interval, one_sided_p
from studies.start import fewer, start
from studies.throughput import spread, take_turns

STEPS = 1_200
EPOCHS, TRIAL, WARM_UP = 50, 4, 500  # epochs, epochs and steps of a baseline
RATES = 3e-4, 1e-3, 2e-3
MUON = TrainConfig(
    optimizer="muon", learning_rate=4e-3, mask_rate=0.3, last_mask_rate=0.3
)
RECIPES = {
    "entry": (ModelConfig(), MUON),
    "plain": (ModelConfig.bert(), TrainConfig(cooldown=0.0, masks="independent")),
    "scheduled": (ModelConfig.bert(), TrainConfig(masks="independent")),
}
BASELINES = "plain", "scheduled"
ROUNDS, LIMIT = 40, 120  # of timing: steps of each kind, seconds
RECORDS = ROOT / "plots" / "records" / "speedrun"
SUMMARY = RECORDS.with_suffix(".json")


def finished(name: str, model, data: TrainingData, config, history, **more) -> dict:
    """Scores a trained model on all words and writes its record."""
    score = evaluate(model, data.validation_BT, data.subset_BT, subsets=range(7))
    found = {
        "name": name,
        "hardware": record.hardware(),
        "model": asdict(model.config),
        "training": asdict(config),
        "validation": {key: score[key] for key in ("loss", "accuracy", "words")},
        "steps": history[-1]["step"],
        **more,
        "history": [
            {key: entry[key] for key in ("step", "epoch", "validation_loss")}
            for entry in history
        ],
    }
    record.write(RECORDS / f"{name}.json", found)
    return found


def baseline(arm: str, rate: float, epochs: float) -> dict:
    """One run of a baseline, resumable; its record if that exists."""
    name = f"{arm}_rate_{rate:g}_{epochs:g}_epochs"
    if (RECORDS / f"{name}.json").exists():
        return record.read(RECORDS / f"{name}.json")
    print(name, flush=True)
    model_config, config = RECIPES[arm]
    config = replace(
        config,
        epochs=float(epochs),
        learning_rate=rate,
        evaluations=max(1, round(epochs)),
        patience=10**6,
    )
    data, _, model = start(model_config, config.seed)
    if arm == "plain":
        per_epoch = steps_per_epoch(data.stream, 64, config.batch_size)
        config = replace(config, warmup=WARM_UP / (per_epoch * epochs))
    history = train(model, fewer(data, 512), config, ROOT / "runs" / f"speedrun_{name}")
    return finished(name, model, data, config, history, rate=rate, arm=arm)


def baselines(arms: Sequence[str]) -> None:
    """Chooses each baseline's rate by trials, then makes its long run."""
    for arm in arms:
        trials = [baseline(arm, rate, TRIAL) for rate in RATES]
        best = min(trials, key=lambda found: found["validation"]["loss"])
        baseline(arm, best["rate"], EPOCHS)


def entry(seed: int) -> dict:
    """The run against the clock, which started with this process."""
    model_config, config = RECIPES["entry"]
    data, tokenizer, model = start(model_config, seed)
    epochs = STEPS / steps_per_epoch(data.stream, 64, config.batch_size)
    config = replace(config, seed=seed, epochs=epochs, evaluations=1)
    history = train(model, fewer(data, 64), config)
    name = f"entry_{STEPS}_steps_seed_{seed}"
    path = ROOT / "runs" / f"speedrun_{name}.safetensors"
    save_model(path, model, tokenizer, {"name": name, "seed": seed})
    seconds = time.time() - psutil.Process().create_time()
    return finished(name, model, data, config, history, seed=seed, seconds=seconds)


def step_times() -> dict:
    """Seconds a training step takes for each recipe, taken in turn; with quartiles."""
    steps = {}
    for name, (model_config, config) in RECIPES.items():
        data, _, model = start(model_config, config.seed)
        ids_BT = data.sample_BT[: config.batch_size]
        run = TrainingRun(model, config, pick_dtype(model, ids_BT))
        steps[name] = lambda run=run, ids=ids_BT, config=config: train_step(
            run, ids, config, 10**6
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = take_turns(steps, ROUNDS, LIMIT, device)
    times = {name: spread(seconds) for name, seconds in found.items()}
    result = {"hardware": record.hardware(), "rounds": len(found["entry"])}
    result["seconds"] = times
    record.write(RECORDS / "times.json", result)
    return result


def summarise() -> dict:
    """What was reached, in which time; written to `SUMMARY` and printed."""
    runs = [record.read(path) for path in sorted(RECORDS.glob("*_*_*.json"))]
    entries = [found for found in runs if found["name"].startswith(f"entry_{STEPS}_")]
    losses = [found["validation"]["loss"] for found in entries]
    times = [found["seconds"] for found in entries]
    result = {
        "entry": {
            "steps": STEPS,
            "loss": mean_interval(losses),
            "seconds": mean_interval(times),
        },
        "baselines": {},
    }
    timing = RECORDS / "times.json"
    for arm in BASELINES:
        long = [found for found in runs if found.get("arm") == arm]
        long = [found for found in long if found["training"]["epochs"] == EPOCHS]
        if not long or not timing.exists():
            continue
        found, (_, step, _) = long[0], record.read(timing)["seconds"][arm]
        seconds, loss = found["steps"] * step, found["validation"]["loss"]
        result["baselines"][arm] = {
            "rate": found["rate"],
            "steps": found["steps"],
            "loss": loss,
            "seconds": seconds,
            "times_faster": seconds / result["entry"]["seconds"]["mean"],
            "reached": result["entry"]["loss"]["mean"] <= loss,
            "p": one_sided_p(losses, loss) if len(losses) > 1 else None,
        }
    record.write(SUMMARY, result)
    return result


def main() -> None:
    """One entry, a baseline or the timing; then the summary."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.speedrun",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="of the entry (default 0)")
    parser.add_argument("--baselines", nargs="*", choices=BASELINES, metavar="ARM")
    parser.add_argument("--time", action="store_true")
    given = parser.parse_args()
    if given.baselines is not None:
        baselines(given.baselines or BASELINES)
    elif given.time:
        print(step_times()["seconds"])
    else:
        found = entry(given.seed)
        print(
            f"{found['validation']['loss']:.3f} nats after {found['steps']:,} steps, "
            f"{found['seconds']:.0f} s from the start of the process"
        )
    if list(RECORDS.glob(f"entry_{STEPS}_*.json")):
        for arm, found in summarise()["baselines"].items():
            print(
                f"{arm}: {found['loss']:.3f} nats after {found['steps']:,} steps, "
                f"{found['times_faster']:.1f} times as long"
            )


if __name__ == "__main__":
    main()
