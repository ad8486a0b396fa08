"""Lesson 7: what ends the collapse, how much to mask, and by what."""

from studies.lab.claims import Claim, Effect
from studies.lab.figures import figure_of, interval_columns, interval_rows, label_rows
from studies.lessons.arms import LessonArm
from studies.lessons.readings import read_elsewhere
from studies.plateau import STEPS, STUDY, plateau_arm

RATES = {10: "rate_10", 15: "rate_15", 30: "base", 40: "rate_40", 50: "rate_50"}
ARMS = {
    name: LessonArm(
        training=dict.fromkeys(("mask_rate", "last_mask_rate"), percent / 100)
    )
    for percent, name in RATES.items()
    if name != "base"
} | {"all_hidden": LessonArm(masks="all hidden")}
WAYS = {
    "base": "80/10/10,\nfixed number",
    "all_hidden": "[MASK] only,\nfixed number",
    "pack_64": "80/10/10,\nindependent draws",
}


def plateau_effect(results) -> Effect:
    """Steps on the plateau, with each kind of positions at its best rate."""
    kinds = "rotary", "learned"
    return Effect(*(plateau_arm(results, kind) for kind in kinds), "step_left")


LEFT = read_elsewhere(STUDY, plateau_effect, f"up to {STEPS:,} steps")
CLAIMS = [
    Claim(
        "The collapse ends sooner with rotary positions than with learned positions.",
        LEFT,
        unit="steps",
    ),
    Claim(
        "Masking 15 % of the words, as BERT does, beats masking 30 % of them.",
        Effect("rate_15", "base"),
        sides=("15 % masked", "30 % masked"),
        primary=True,
    ),
    Claim(
        "BERT's rule of 80/10/10 beats [MASK] in every masked place.",
        Effect("base", "all_hidden"),
        sides=("80/10/10", "[MASK] everywhere"),
    ),
]


@figure_of(1, 2, size=(8.4, 3.4), width_ratios=(3, 2))
def masks_figure(panels, results) -> None:
    """Loss by the share of words that is masked in training, and by what masks them."""
    left, right = panels
    loss = {arm: readings["loss"] for arm, readings in results.readings.items()}
    interval_columns(left, [*RATES], [loss[arm] for arm in RATES.values()])
    left.set(xlabel="masked in training (% of the words)", xticks=[*RATES])
    left.set_ylabel("validation loss (nats per word)")
    interval_rows(right, [loss[arm] for arm in WAYS])
    label_rows(right, [*WAYS.values()])
    right.set_xlabel("loss (nats), 30 % masked")
    right.locator_params(axis="x", nbins=4)
