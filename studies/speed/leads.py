"""What would make the speedrun's recipe faster? `python -m studies.speed.leads --help`.

Each lead changes the recipe in one way, or in a few, and gets as many steps as fit into
the time of `STEPS` steps of the recipe, or in `LONG` into that of `EPOCHS` epochs.
`--time` takes a step of each lead in turn, on a machine that should be idle.
"""

import copy
from dataclasses import dataclass, replace
from itertools import cycle, islice, product
from pathlib import Path
from statistics import fmean

from torch import nn

from helpers import ROOT
from helpers.data import steps_per_epoch
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.train import train
from studies.lab.claims import Effect
from studies.lab.experiment import experiment_part, prepare_experiment
from studies.lab.runs import RECORDS
from studies.lab.scored_text import require_wikitext, score
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table, plus_minus
from studies.speed import recipes

STEPS, EPOCHS = 1_200, 20  # of the recipe itself: in a short run, in a long one
FOLDER, COMMAND = RECORDS / "leads", "python -m studies.speed.leads"
RECIPE = recipes.RECIPES["entry"].training


@dataclass(frozen=True)
class Lead(Arm):
    """A recipe for so many steps, in stages of equal length, one for each of `layers`.

    The model of a stage begins with the encoder blocks of the one before, over and over
    (Gong et al. 2019). Each stage warms up anew, with new optimisers, and the rate
    falls in the last one only. `steps`, which are rounded in each stage, replace the
    epochs of `training`.
    """

    shown: str = ""
    steps: int = STEPS
    layers: tuple[int, ...] = (4,)

    def settings(self, seed: int) -> dict:
        """What makes a run of this arm this run, beside its name and its text."""
        stages = {"steps": self.steps, "layers": [*self.layers]}
        return super().settings(seed) | stages


def lead(shown: str, steps=STEPS, layers=(4,), **changes) -> Lead:
    """The recipe with some changes, which are fields of TrainConfig."""
    return Lead(ModelConfig(), replace(RECIPE, **changes), shown, steps, layers)


MORE = {"mask_rate": 0.4, "last_mask_rate": 0.4}
LEADS = {  # their steps take as long as the recipe's did in a first timing
    "recipe": lead("the series' recipe"),
    "stacked_twice": lead("1, 2, then 4 layers", 1_971, (1, 2, 4)),
    "stacked": lead("2, then 4 layers", 1_566, (2, 4)),
    "stacked_masks": lead("2, then 4 layers; 40 % masked", 1_536, (2, 4), **MORE),
    "masks": lead("40 % masked", 1_178, **MORE),
    "half_batches": lead("batches of 32 rows", 1_647, batch_size=32),
    "stacked_masks_half_batches": lead(
        "2, then 4 layers; 40 % masked; 32 rows", 2_094, (2, 4), batch_size=32, **MORE
    ),
}
LONG = {
    f"long_{name}": replace(
        LEADS[name], steps=round(LEADS[name].steps * EPOCHS * recipes.PER_EPOCH / STEPS)
    )
    for name in ("recipe", "stacked_twice", "stacked", "stacked_masks")
}
RATES = {
    f"muon_{muon:g}_adamw_{adamw:g}": lead(
        f"rate of Muon × {muon:g}, of AdamW × {adamw:g}",
        muon_rate=muon * RECIPE.muon_rate,
        learning_rate=adamw * RECIPE.learning_rate,
    )
    for muon, adamw in product((0.5, 1, 2), repeat=2)
    if (muon, adamw) != (1, 1)
}


def stacked_model(model: MaskedLanguageModel, n_layers: int) -> MaskedLanguageModel:
    """A deeper copy of a model: copies of its encoder blocks, over and over."""
    deep, blocks = copy.deepcopy(model), islice(cycle(model.blocks), n_layers)
    deep.config = replace(model.config, n_layers=n_layers)
    deep.blocks = nn.ModuleList(copy.deepcopy(block) for block in blocks)
    return deep


def make_lead_run(arm: Lead, seed: int, folder: Path) -> dict:
    """Trains one run, stage by stage and resumable, and scores all validation words."""
    first = replace(arm.model, n_layers=arm.layers[0])
    *_, data, model = prepare_experiment(first, seed)
    sizes = data.stream, first.max_length, arm.training.batch_size
    epochs = arm.steps / len(arm.layers) / steps_per_epoch(*sizes)
    seldom = {"epochs": epochs, "evaluations": 1, "patience": 10**6}
    scored = experiment_part(data, 64)
    for stage, layers in enumerate(arm.layers):
        model = stacked_model(model, layers)
        # Other batches and masks than in the stage before.
        training = replace(arm.training, seed=seed + 100 * stage, **seldom)
        if stage + 1 < len(arm.layers):
            training = replace(training, cooldown=0.0)
        train(model, scored, training, folder / f"stage_{stage}")
    return {"validation": score(model, data.validation_BT, data.subset_BT)}


def time_leads() -> None:
    """Writes the record of how long a step of each lead takes, in turn.

    For a lead with stages, it is the mean of one step of each.
    """
    turns = {}
    for name, arm in LEADS.items():
        models = (replace(arm.model, n_layers=layers) for layers in arm.layers)
        steps = [recipes.timed_recipe_step(model, arm.training) for model in models]
        turns[name] = lambda steps=steps: fmean(step() for step in steps)
    recipes.write_recipe_times(FOLDER / recipes.TIMES, LEADS, turns)


def leads_table(results: StudyResults) -> str:
    """What each lead gave, as a Markdown table; the long runs come last.

    ValueError if its steps were not timed.
    """
    titles = ["Recipe", "Time of a step", "Steps", "Seeds", "Validation loss"]
    times, rows = recipes.read_recipe_times(FOLDER / recipes.TIMES, LEADS, COMMAND), []
    for name, readings in results.readings.items():
        arm, loss = results.study.arms[name], readings["loss"]
        timed = "recipe" if name in RATES else name.removeprefix("long_")
        base = "long_recipe" if name in LONG else "recipe"
        shown = f"{EPOCHS} epochs: {arm.shown}" if name in LONG else arm.shown
        cells = [shown, f"{times[timed]['ratio'][1]:.2f}", f"{arm.steps:,}"]
        rows.append([*cells, f"{loss['n']}", plus_minus(loss, 3)])
        if name != base and (minus := results.effect(Effect(name, base)))["n"]:
            rows[-1].append(plus_minus(minus, 3, sign="+"))
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
    """Takes the times; or makes what is missing, then reports."""
    parser = STUDY.parser()
    parser.add_argument("--time", action="store_true", help="only time all leads")
    given = parser.parse_args(arguments)
    if given.time and given.summary:
        parser.error("choose one of --time and --summary.")
    with parser.one_sentence():
        if given.time:
            require_wikitext()
            return time_leads()
        if not given.summary:
            STUDY.make_missing(given.arms, given.seeds, given.processes)
        STUDY.report()


if __name__ == "__main__":
    main()
