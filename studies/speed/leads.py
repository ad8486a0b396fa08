"""What would make the recipe of the speedrun faster? `python -m studies.speed.leads`.

Each lead changes one thing of the recipe, or a few, and has as many steps as take the
time of `STEPS` of its own; `--time` takes their steps in turn. The arms of `RACE` have
the time of 20 epochs.
"""

import copy
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean

from torch import nn

from helpers import ROOT
from helpers.data import steps_per_epoch
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import read_record, write_record
from helpers.train import train
from studies.lab import timing
from studies.lab.claims import Effect
from studies.lab.experiment import experiment_part, prepare_experiment
from studies.lab.machine import hardware
from studies.lab.runs import RECORDS
from studies.lab.scored_text import score
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table, plus_minus
from studies.speed.recipes import LIMIT, RECIPES, ROUNDS

STEPS, LONG = 1_200, 20 * 514  # of the recipe; the latter are 20 epochs
TIMES = RECORDS / "leads" / "times.json"
MORE_MASKS = {"mask_rate": 0.4, "last_mask_rate": 0.4}


@dataclass(frozen=True)
class Lead(Arm):
    """A recipe for so many steps, in stages of equal length, one for each of `layers`.

    All stages but the last keep the peak of the rate. The model of the next one begins
    with the encoder blocks of the one before, over and over (Gong et al. 2019).
    """

    training: TrainConfig = RECIPES["entry"].training
    steps: int = STEPS
    layers: tuple[int, ...] = (4,)

    def settings(self, seed: int) -> dict:
        """What makes a run of this arm this run, beside its name and its text."""
        stages = {"steps": self.steps, "layers": [*self.layers]}
        return super().settings(seed) | stages

    def stages(self, seed: int) -> list[tuple[ModelConfig, TrainConfig]]:
        """The model and the training of each stage, which draws numbers of its own."""
        last = len(self.layers) - 1
        return [
            (
                replace(self.model, n_layers=layers),
                replace(
                    self.training,
                    seed=seed + 100 * stage,
                    cooldown=self.training.cooldown if stage == last else 0.0,
                    evaluations=1,
                    patience=10**6,
                ),
            )
            for stage, layers in enumerate(self.layers)
        ]


def stacked_model(model, n_layers: int):
    """A deeper copy of a model: its encoder blocks, over and over."""
    deep, blocks = copy.deepcopy(model), islice(cycle(model.blocks), n_layers)
    deep.config = replace(model.config, n_layers=n_layers)
    deep.blocks = nn.ModuleList(copy.deepcopy(block) for block in blocks)
    return deep


def make_lead_run(arm: Lead, seed: int, folder: Path) -> dict:
    """Trains one run through its stages, resumable, and scores all validation words."""
    stages = arm.stages(seed)
    _, _, data, model = prepare_experiment(stages[0][0], seed)
    for sizes, training in stages:
        model = stacked_model(model, sizes.n_layers)
        pass_ = steps_per_epoch(data.stream, sizes.max_length, training.batch_size)
        training = replace(training, epochs=arm.steps / len(stages) / pass_)
        place = folder / f"{sizes.n_layers}_layers"
        train(model, experiment_part(data, 64), training, place)
    return {"validation": score(model, data.validation_BT, data.subset_BT)}


STACKED = (2, 4)
ARMS = {  # steps: as many as took the time of the recipe's, in a first timing
    "recipe": Lead(),
    "masks": Lead(training=replace(Lead.training, **MORE_MASKS), steps=1_178),
    "half_batches": Lead(training=replace(Lead.training, batch_size=32), steps=1_647),
    "stacked": Lead(layers=STACKED, steps=1_566),
    "stacked_twice": Lead(layers=(1, 2, 4), steps=1_971),
    "stacked_masks": Lead(
        training=replace(Lead.training, **MORE_MASKS), layers=STACKED, steps=1_536
    ),
    "stacked_masks_half_batches": Lead(
        training=replace(Lead.training, batch_size=32, **MORE_MASKS),
        layers=STACKED,
        steps=2_094,
    ),
}
RATES = {
    f"muon_{muon:g}_adamw_{adamw:g}": Lead(
        training=replace(
            Lead.training,
            muon_rate=muon * Lead.training.muon_rate,
            learning_rate=adamw * Lead.training.learning_rate,
        )
    )
    for muon in (0.5, 1.0, 2.0)
    for adamw in (0.5, 1.0, 2.0)
    if (muon, adamw) != (1.0, 1.0)
}
RACE = {
    f"long_{name}": replace(arm, steps=round(arm.steps * LONG / STEPS))
    for name, arm in ARMS.items()
    if name in ("recipe", "stacked", "stacked_masks")
}


def time_leads() -> None:
    """Writes the record of how long a step of each arm takes, in turn.

    A step of an arm in stages is the mean of one of each.
    """
    turns = {}
    for name, arm in ARMS.items():
        steps = []
        for sizes, training in arm.stages(0):
            _, _, data, model = prepare_experiment(sizes, 0)
            step = timing.timed_training_step(model, training)
            ids_BT = data.sample_BT[: training.batch_size]
            steps.append(partial(timing.seconds_of, partial(step, ids_BT)))
        turns[name] = lambda steps=steps: fmean(step() for step in steps)
    times = timing.time_in_turns(turns, ROUNDS, LIMIT)
    result = {"hardware": hardware(), "rounds": len(times["recipe"])}
    for name, seconds in times.items():
        result[name] = timing.times_and_ratios(seconds, times["recipe"])
    write_record(TIMES, result)


def leads_table(results: StudyResults) -> str:
    """What each lead gave, as a Markdown table."""
    titles = ["Recipe", "Steps", "Time", "Seeds", "Validation loss", "Minus the recipe"]
    times, rows = read_record(TIMES), []
    for name, arm in (ARMS | RATES).items():
        loss = results.readings[name]["loss"]
        share = times.get(name, {"ratio": [1, 1, 1]})["ratio"][1] * arm.steps / STEPS
        minus = results.effect(Effect(name, "recipe"))
        cells = [name, f"{arm.steps:,}", f"{share:.2f}", f"{loss['n']}"]
        paired = "" if name == "recipe" else plus_minus(minus, 3, sign="+")
        rows.append([*cells, plus_minus(loss, 3), paired])
    return markdown_table(titles, rows)


STUDY = Study(
    "speed.leads",
    "Train the recipe of the speedrun with each lead, for the same time, and for the "
    "time of 20 epochs; runs whose record exists are skipped.",
    folder=RECORDS / "leads",
    states=ROOT / "runs" / "leads",
    arms=ARMS | RATES | RACE,
    make=make_lead_run,
    readings={"loss": lambda run: run["validation"]["loss"]},
    table=leads_table,
)


def main(arguments: list[str] | None = None) -> None:
    """Takes the times; or makes what is missing, then reports."""
    parser = STUDY.parser()
    parser.add_argument("--time", action="store_true", help="time steps, train nothing")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if given.time:
            time_leads()
        elif not given.summary:
            STUDY.make_missing(given.arms, given.seeds, given.processes)
        STUDY.report()


if __name__ == "__main__":
    main()
