"""What would make the speedrun's recipe faster? `python -m studies.speed.leads --help`.

Each lead changes the recipe in one way, or in a few, and has as many steps as take the
time of `STEPS` of the recipe; those of `LONG` are as long as 20 epochs of it. `--time`
takes the steps of all leads in turn, on a machine that should be idle.
"""

import copy
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean

from torch import nn

from helpers import ROOT
from helpers.data import steps_per_epoch
from helpers.model import MaskedLanguageModel
from helpers.optimize import TrainConfig
from helpers.record import read_record, write_record
from helpers.train import train
from studies.lab.claims import Effect
from studies.lab.experiment import experiment_part, prepare_experiment
from studies.lab.runs import RECORDS
from studies.lab.scored_text import require_wikitext, score
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table, plus_minus
from studies.speed.recipes import PER_EPOCH, RECIPES, timed_recipe_step, times_in_turns

STEPS, LONG_STEPS = 1_200, 20 * PER_EPOCH  # of the recipe itself
FOLDER, TIMES = RECORDS / "leads", "times.json"
RECIPE = RECIPES["entry"].training


@dataclass(frozen=True)
class Lead(Arm):
    """A recipe for so many steps, in stages of equal length, one for each of `layers`.

    The model of a stage begins with the encoder blocks of the one before, over and over
    (Gong et al. 2019). The rate falls in the last stage only, and the optimisers begin
    anew in each.
    """

    training: TrainConfig = RECIPE
    shown: str = "the series' recipe"
    steps: int = STEPS
    layers: tuple[int, ...] = (4,)

    def settings(self, seed: int) -> dict:
        """What makes a run of this arm this run, beside its name and its text."""
        stages = {"steps": self.steps, "layers": [*self.layers]}
        return super().settings(seed) | stages


def lead(shown: str, steps: int, layers=(4,), **changes) -> Lead:
    """The recipe with some changes."""
    return Lead(
        training=replace(RECIPE, **changes), shown=shown, steps=steps, layers=layers
    )


MORE = {"mask_rate": 0.4, "last_mask_rate": 0.4}
LEADS = {  # their steps take as long as the recipe's did in a first timing
    "recipe": Lead(),
    "stacked_twice": lead("1, 2, then 4 layers", 1_971, (1, 2, 4)),
    "stacked": lead("2, then 4 layers", 1_566, (2, 4)),
    "stacked_masks": lead("2, then 4 layers; 40 % masked", 1_536, (2, 4), **MORE),
    "masks": lead("40 % masked", 1_178, **MORE),
    "half_batches": lead("batches of 32 rows", 1_647, batch_size=32),
    "stacked_masks_half_batches": lead(
        "2, then 4 layers; 40 % masked; batches of 32 rows",
        2_094,
        (2, 4),
        batch_size=32,
        **MORE,
    ),
}
LONG = {
    f"long_{name}": replace(
        LEADS[name],
        shown=f"20 epochs: {LEADS[name].shown}",
        steps=round(LEADS[name].steps * LONG_STEPS / STEPS),
    )
    for name in ("recipe", "stacked_twice", "stacked", "stacked_masks")
}
RATES = {
    f"muon_{muon:g}_adamw_{adamw:g}": lead(
        f"rate of Muon × {muon:g}, of AdamW × {adamw:g}",
        STEPS,
        muon_rate=muon * RECIPE.muon_rate,
        learning_rate=adamw * RECIPE.learning_rate,
    )
    for muon in (0.5, 1.0, 2.0)
    for adamw in (0.5, 1.0, 2.0)
    if (muon, adamw) != (1.0, 1.0)
}


def stacked_model(model: MaskedLanguageModel, n_layers: int) -> MaskedLanguageModel:
    """A deeper copy of a model: its encoder blocks, over and over."""
    deep, blocks = copy.deepcopy(model), islice(cycle(model.blocks), n_layers)
    deep.config = replace(model.config, n_layers=n_layers)
    deep.blocks = nn.ModuleList(copy.deepcopy(block) for block in blocks)
    return deep


def make_lead_run(arm: Lead, seed: int, folder: Path) -> dict:
    """Trains one run, stage by stage and resumable, and scores all validation words."""
    first = replace(arm.model, n_layers=arm.layers[0])
    *_, data, model = prepare_experiment(first, seed)
    for stage, layers in enumerate(arm.layers):
        model = stacked_model(model, layers)
        sizes = data.stream, model.config.max_length, arm.training.batch_size
        training = replace(
            arm.training,
            epochs=arm.steps / len(arm.layers) / steps_per_epoch(*sizes),
            cooldown=0.0 if layers < arm.layers[-1] else arm.training.cooldown,
            seed=seed + 100 * stage,  # other batches and masks than in the one before
            evaluations=1,
            patience=10**6,
        )
        place = folder / f"{layers}_layers"
        train(model, experiment_part(data, 64), training, place)
    return {"validation": score(model, data.validation_BT, data.subset_BT)}


def time_leads() -> None:
    """Writes the record of how long a step of each lead takes, in turn.

    For a lead with stages, it is the mean of one step of each.
    """
    turns = {}
    for name, arm in LEADS.items():
        models = (replace(arm.model, n_layers=layers) for layers in arm.layers)
        steps = [timed_recipe_step(model, arm.training) for model in models]
        turns[name] = lambda steps=steps: fmean(step() for step in steps)
    write_record(FOLDER / TIMES, times_in_turns(turns, "recipe"))


def leads_table(results: StudyResults) -> str:
    """What each lead gave, as a Markdown table; those of 20 epochs come last."""
    titles = ["Recipe", "Time of a step", "Steps", "Seeds", "Validation loss"]
    times, rows = read_record(FOLDER / TIMES), []
    for name in filter(results.runs.get, LEADS | RATES | LONG):
        arm = results.study.arms[name]
        base = "long_recipe" if name in LONG else "recipe"
        loss, minus = results.readings[name]["loss"], ""
        if name != base:
            minus = plus_minus(results.effect(Effect(name, base)), 3, sign="+")
        _, ratio, _ = times.get(name.removeprefix("long_"), times["recipe"])["ratio"]
        cells = [arm.shown, f"{ratio:.2f}", f"{arm.steps:,}", f"{loss['n']}"]
        rows.append([*cells, plus_minus(loss, 3), minus])
    return markdown_table([*titles, "Minus the series' recipe"], rows)


STUDY = Study(
    "speed.leads",
    "Train the speedrun's recipe and its leads, resumable, each for the same time; "
    "runs whose record exists are skipped.",
    folder=FOLDER,
    states=ROOT / "runs" / "leads",
    arms=LEADS | RATES | LONG,
    make=make_lead_run,
    readings={"loss": lambda run: run["validation"]["loss"]},
    table=leads_table,
)


def main(arguments: list[str] | None = None) -> None:
    """Takes the times; or makes what is missing; then reports."""
    parser = STUDY.parser()
    parser.add_argument("--time", action="store_true", help="time steps, train nothing")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if given.time:
            require_wikitext()
            time_leads()
        elif not given.summary:
            STUDY.make_missing(given.arms, given.seeds, given.processes)
        STUDY.report()


if __name__ == "__main__":
    main()
