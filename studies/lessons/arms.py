"""What an arm of the lessons is made of, and the recipe that all arms share.

An arm differs from another in what its entry names, one factor at a time. All share the
fast recipe, but for its rate: half of the peak, and constant after the warm-up, so that
a curve can be read at any step or moment.
"""

from dataclasses import dataclass, field, replace

from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.settings import require, whole
from studies.lab.runs import FAST

RECIPE = replace(
    FAST,
    learning_rate=FAST.learning_rate / 2,
    muon_rate=FAST.muon_rate / 2,
    cooldown=0.0,
    precision="bfloat16",
)
STEPS, WARM_UP = 500, 40  # about one pass over the text
TOKENS = RECIPE.batch_size * ModelConfig().max_length  # a step


@dataclass(frozen=True)
class Arm:
    """What one configuration is made of; `steps` it is trained for.

    Tokens are words or, if `pieces`, byte pairs. `layout` is "pack", "pad" or "bucket".
    `masks` are "fresh" at each step, or "static", so that a block keeps its own. With
    "all hidden" each masked word is replaced by [MASK]; with "known only" the words
    beyond the series' own are read and never masked. A `small` text is a part of it.
    """

    model: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    pieces: bool = False
    layout: str = "pack"
    masks: str = "fresh"
    small: bool = False
    steps: int = STEPS

    def __post_init__(self):
        require(
            self,
            pieces=(True, False),
            layout=("pack", "pad", "bucket"),
            masks=("fresh", "static", "all hidden", "known only"),
            small=(True, False),
            steps=whole(1),
        )

    @property
    def model_config(self) -> ModelConfig:
        return ModelConfig(**self.model)

    def train_config(self, seed: int) -> TrainConfig:
        """The recipe of a run; `epochs` says nothing here, the arm has its steps."""
        rows = TOKENS // self.model_config.max_length
        own = {"seed": seed, "batch_size": rows, "warmup": WARM_UP / self.steps}
        return replace(RECIPE, **(own | self.training))

    def settings(self, seed: int) -> dict:
        """What makes a run of this arm this run, beside its name and its text."""
        config = self.train_config(seed)
        return {"design": self, "model": self.model_config, "training": config}
