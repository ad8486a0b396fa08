"""How soon is a model as good as a plain recipe makes it in 50 epochs?

`python -m studies.speed.speedrun` trains once, in `STEPS` steps, and compares what it
reached with two baselines, both BERT's model: *plain* has a constant rate after its
warm-up, *scheduled* has a rate that falls to 0. `--baselines` trains these, resumable:
their rate is chosen from three by trials of `TRIAL` epochs, then 50 epochs are run, of
one seed; with a constant rate they go on from the trial. `--time` takes the steps of
all three in turn, on a machine that should be idle.

The entry's time is that of its whole process, from its start until the weights are
saved. A baseline's is that of its steps alone, up to its best evaluation, whose weights
count: the entry's seconds a step, times the ratio of their steps taken in turn. Every
word of the validation text is scored.
"""

import argparse
import time
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial

import psutil
import torch

from helpers import ROOT, record
from helpers.checkpoint import save_model
from helpers.corpus import require_wikitext
from helpers.data import TrainingData, steps_per_epoch
from helpers.figure import png
from helpers.files import write_whole
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.resume import identity
from helpers.run import TrainingRun
from helpers.train import train, train_step
from studies.figures import time_to_quality
from studies.lab.command import SEED, command, required
from studies.lab.experiment import prepare
from studies.lab.runs import (
    lengthen,
    read_run,
    readable,
    require_name,
    require_run,
    score_all,
    subsample,
)
from studies.lab.stats import one_sided_p, student
from studies.speed.throughput import spread, take_turns
from studies.tables import speed_table

STEPS = 2_400  # of the entry; fixed before its first run
EPOCHS, TRIAL, WARM_UP = 50, 8, 500  # epochs, epochs and steps of a baseline
RATES = 3e-4, 1e-3, 2e-3
NEAR = 0.02  # nats above a baseline's best at which it is as good as there
PLAIN = TrainConfig(masks="independent", precision="bfloat16")
MUON = replace(PLAIN, optimizer="muon", learning_rate=4e-3, masks="fixed")
RECIPES = {
    "entry": (ModelConfig(), replace(MUON, mask_rate=0.3, last_mask_rate=0.3)),
    "plain": (ModelConfig.bert(), replace(PLAIN, cooldown=0.0)),
    "scheduled": (ModelConfig.bert(), PLAIN),
}
PARTS, BASELINES = ("model", "training"), ("plain", "scheduled")
ROUNDS, LIMIT = 40, 120  # of timing: steps of each kind, seconds
ENTRY_PARTS = "validation.loss", "seconds", "seconds_in_steps", "hardware"
RECORDS = ROOT / "plots" / "records" / "speedrun"
SUMMARY = RECORDS.with_suffix(".json")


def settings(arm: str, data: TrainingData, words: int, epochs=0.0, **more) -> dict:
    """What makes a run this run: its text, its model of so many words, its training.

    The entry takes `STEPS` steps; a baseline `epochs`, of which it warms up `WARM_UP`
    steps, and is evaluated after each.
    """
    model_config, config = RECIPES[arm]
    model_config = replace(model_config, vocab_size=words)
    length = model_config.max_length
    per_epoch = steps_per_epoch(data.stream, length, config.batch_size)
    steps = STEPS if arm == "entry" else round(epochs * per_epoch)
    config = replace(config, epochs=steps / per_epoch, evaluations=1, **more)
    if arm != "entry":
        often = {"evaluations": max(1, round(epochs)), "patience": 10**6}
        config = replace(config, warmup=WARM_UP / steps, **often)
    return {
        "steps": steps,
        "text_length": len(data.stream),
        "model": model_config,
        "training": config,
    }


def run_name(arm: str, rate: float, epochs: float) -> str:
    """The name of a baseline's run and of its record."""
    return f"{arm}_rate_{rate:g}_{epochs:g}_epochs"


def baseline(arm: str, rate: float, epochs: float) -> dict:
    """One run of a baseline, resumable; its record if that exists.

    A run that diverges is recorded without a loss.
    """
    name = run_name(arm, rate, epochs)
    _, _, data, model = prepare(RECIPES[arm][0], 0)
    words = model.config.vocab_size
    wanted = settings(arm, data, words, epochs, learning_rate=rate)
    if found := read_run(RECORDS / f"{name}.json", wanted):
        return found
    print(name, flush=True)
    config, scored = wanted["training"], subsample(data, 512)
    folder = ROOT / "runs" / f"speedrun_{name}"
    if config.cooldown == 0.0 and epochs > TRIAL:
        trial = folder.with_name(f"speedrun_{run_name(arm, rate, TRIAL)}")
        lengthen(trial, folder, identity(model, scored, config))
    found = {"name": name, "arm": arm, "rate": rate, "hardware": record.hardware()}
    found |= record.plain(wanted) | {"validation": None, "best_step": None}
    with suppress(FloatingPointError):
        history = train(model, scored, config, folder).history
        best = min(history, key=lambda entry: entry["validation_loss"])
        found["validation"] = score_all(model, data.validation_BT, data.subset_BT)
        found["best_step"] = best["step"]
        keys = "step", "epoch", "validation_loss"
        found["history"] = [{key: entry[key] for key in keys} for entry in history]
    record.write(RECORDS / f"{name}.json", found)
    return found


def best_of(trials: list[dict]) -> dict:
    """The trial with the lowest validation loss; ValueError if all diverged."""
    sound = [found for found in trials if found["validation"]]
    if not sound:
        raise ValueError("All trials diverged; try lower rates.")
    return min(sound, key=lambda found: found["validation"]["loss"])


def entry(seed: int) -> dict:
    """The run against the clock, which started with this process.

    ValueError if there is one of this seed: it is not run until it is fast.
    """
    _, tokenizer, data, model = prepare(RECIPES["entry"][0], seed)
    wanted = settings("entry", data, len(tokenizer), seed=seed)
    name = f"entry_{STEPS}_steps_seed_{seed}"
    if read_run(RECORDS / f"{name}.json", wanted):
        raise ValueError(f"{name} has been run; its record is in {RECORDS}.")
    # The clock of the wall can be set; it is read for what was before only.
    seconds = time.time() - psutil.Process().create_time() - time.monotonic()
    training = train(model, subsample(data, 64), wanted["training"])
    path = ROOT / "runs" / f"speedrun_{name}.safetensors"
    save_model(path, model, tokenizer, {"name": name, "seed": seed})
    seconds += time.monotonic()
    found = {"name": name, "seed": seed, "hardware": record.hardware()}
    found |= record.plain(wanted)
    found |= {"seconds": seconds, "seconds_in_steps": training.seconds}
    found["validation"] = score_all(model, data.validation_BT, data.subset_BT)
    record.write(RECORDS / f"{name}.json", found)
    return found


def recipes() -> dict:
    """The recipes as a record holds them."""
    return {name: [asdict(part) for part in pair] for name, pair in RECIPES.items()}


def step_times() -> dict:
    """How long a step of each recipe takes beside one of the entry, taken in turn.

    Quartiles of seconds, and of the ratios within each round.
    """
    steps = {}
    for name, (model_config, config) in RECIPES.items():
        _, _, data, model = prepare(model_config, config.seed)
        ids_BT = data.sample_BT[: config.batch_size]
        run = TrainingRun(model, config)
        steps[name] = partial(train_step, run, ids_BT, config, 10**6)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = take_turns(steps, ROUNDS, LIMIT, device)
    result = {"hardware": record.hardware(), "rounds": len(found["entry"])}
    result["recipes"] = recipes()
    for name, seconds in found.items():
        ratios = [a / b for a, b in zip(seconds, found["entry"], strict=True)]
        result[name] = {"seconds": spread(seconds), "ratio": spread(ratios)}
    record.write(RECORDS / "times.json", result)
    return result


def against(long: dict, entries: list[dict], ratio: float) -> dict:
    """One baseline beside the entries; its step takes `ratio` times as long as theirs.

    `times_faster` is None if the entries' mean loss is above the baseline's. `p` is of
    a test that their mean is not below it, one seed of the baseline taken as exact.
    """
    if not long["validation"]:
        raise ValueError(f"{long['name']} diverged; nothing can be compared with it.")
    target = long["validation"]["loss"]
    losses = [found["validation"]["loss"] for found in entries]
    step = student([f["seconds_in_steps"] / f["steps"] for f in entries])["mean"]
    seconds = long["best_step"] * step * ratio
    whole = student([found["seconds"] for found in entries])["mean"]
    lowest = min(found["validation_loss"] for found in long["history"])
    near = [f for f in long["history"] if f["validation_loss"] <= lowest + NEAR]
    reached = sum(losses) <= target * len(losses)
    return {
        "rate": long["rate"],
        "steps": long["best_step"],
        "near_steps": near[0]["step"],
        "loss": target,
        "seconds": seconds,
        "times_faster": seconds / whole if reached else None,
        "p": one_sided_p(losses, target) if len(losses) > 1 else None,
    }


def summarise() -> tuple[dict, list[dict], list[dict]]:
    """What was reached, in which time; written to `SUMMARY`. Trains nothing.

    Also returns the records of the long runs and of the entries. ValueError if the
    entries and the timing are not of the same hardware, or of other recipes.
    """
    _, tokenizer, data, _ = prepare(ModelConfig(), 0)
    maker = "python -m studies.speed.speedrun"
    words, times = len(tokenizer), required(RECORDS / "times.json", f"{maker} --time")
    for name, recipe in RECIPES.items():
        with readable(RECORDS / "times.json"):
            timed = dict(zip(PARTS, times["recipes"].get(name, ()), strict=False))
        wanted = dict(zip(PARTS, recipe, strict=True))
        require_run(RECORDS / "times.json", timed, wanted)
    entries, runs = [], []
    for path in sorted(RECORDS.glob(f"entry_{STEPS}_steps_seed_*.json")):
        number = path.stem.rpartition("_")[2]
        seed = int(number) if number.isdecimal() else 0
        require_name(path, f"entry_{STEPS}_steps_seed_{seed}")
        wanted = settings("entry", data, words, seed=seed)
        entries.append(read_run(path, wanted, parts=ENTRY_PARTS))
        if entries[-1]["hardware"] != times["hardware"]:
            raise ValueError(f"{path} is of other hardware than the timed steps.")
    if not entries:
        raise ValueError(f"There is no entry in {RECORDS}; make one: {maker}")
    config = RECIPES["entry"][1]
    rates = {"rate": config.learning_rate, "muon_rate": config.muon_rate}
    result = {"hardware": times["hardware"], "near": NEAR}
    result["entry"] = {"steps": STEPS} | rates
    result["entry"]["loss"] = student([f["validation"]["loss"] for f in entries])
    result["entry"]["seconds"] = student([f["seconds"] for f in entries])

    def read(arm: str, rate: float, epochs: float) -> dict | None:
        path = RECORDS / f"{run_name(arm, rate, epochs)}.json"
        wanted = settings(arm, data, words, epochs, learning_rate=rate)
        found = read_run(path, wanted, parts=("validation", "best_step"))
        if found and found["validation"]:
            read_run(path, wanted, parts=("validation.loss", "history.validation_loss"))
        return found

    for arm in BASELINES:
        trials = [read(arm, rate, TRIAL) for rate in RATES]
        if None in trials:
            continue
        if long := read(arm, best_of(trials)["rate"], EPOCHS):
            runs.append(long)
            with readable(RECORDS / "times.json"):
                ratio = times[arm]["ratio"][1]
            result[arm] = against(long, entries, ratio)
    record.write(SUMMARY, result)
    return result, runs, entries


def work(given) -> None:
    """One entry; or the baselines, the timing, the summary."""
    if given.baselines is not None:
        for arm in given.baselines or BASELINES:
            trials = [baseline(arm, rate, TRIAL) for rate in RATES]
            baseline(arm, best_of(trials)["rate"], EPOCHS)
    elif given.time:
        print(step_times())
    elif given.summary:
        summary, *found = summarise()
        print(speed_table(summary))
        picture = png(time_to_quality(summary, *found))
        write_whole(ROOT / "plots" / "time_to_quality.png", picture)
    else:
        found = entry(given.seed)
        print(
            f"{found['validation']['loss']:.3f} nats after {found['steps']:,} steps, "
            f"{found['seconds']:.0f} s from the start of the process"
        )


def main(arguments: list[str] | None = None) -> None:
    """What the options ask for."""
    parser = command("speedrun", __doc__, argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seed", type=SEED, default=0, help="of the entry (default 0)")
    what.add_argument("--baselines", nargs="*", choices=BASELINES, metavar="ARM")
    what.add_argument("--time", action="store_true")
    what.add_argument("--summary", action="store_true")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        require_wikitext()
        work(given)


if __name__ == "__main__":
    main()
