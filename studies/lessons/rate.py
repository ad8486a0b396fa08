"""This study's own choice: what a constant rate costs."""

from studies.lab.readings import Claim, Effect
from studies.lessons.arms import FAST, STEPS, WARM_UP, Arm

ARMS = {
    "falling": Arm(
        training={
            "learning_rate": FAST.learning_rate,
            "muon_rate": FAST.muon_rate,
            "cooldown": 1 - WARM_UP / STEPS,
        }
    ),
}
CLAIMS = [
    Claim(
        "A learning rate that falls to 0 beats a constant one of half its peak.",
        Effect("falling", "base"),
        sides=("a rate that falls", "a constant rate"),
    )
]
