"""Lesson 5: does it matter whether the output layer's weights are the embedding's?"""

from helpers.figure import QUIET
from studies.lab.claims import Claim, Effect
from studies.lab.figures import BLUE, figure_of, note_point
from studies.lessons.arms import LessonArm

ARMS = {
    "untied": LessonArm({"tied": False}),
    "untied_10000": LessonArm({"tied": False, "vocab_size": 10_000}),
}
PAIRS = {
    "2,000 words": ("base", "untied"),
    "10,000 words": ("words_10000", "untied_10000"),
}
CLAIMS = [
    Claim(
        f"With a vocabulary of {words}, tying the output layer to the embedding does "
        "not matter.",
        Effect(*pair),
        "same",
        sides=(f"tied, {words}", "weights of its own"),
        primary=words == "2,000 words",
    )
    for words, pair in PAIRS.items()
]


@figure_of(1, 2, size=(6.8, 3.2))
def tying_figure(panels, results) -> None:
    """Loss with tied weights and with own ones; a line joins the two of one seed.

    Both panels span as many nats, so that equal slopes are equal differences.
    """
    look = {"va": "center", "fontsize": 8.5, "color": QUIET}
    spans = []
    for axes, (title, (tied, untied)) in zip(panels, PAIRS.items(), strict=True):
        losses = []
        for seed in results.effect(Effect(tied, untied))["seeds"]:
            runs = [results.runs[arm][seed] for arm in (tied, untied)]
            pair = [run["validation"]["loss"] for run in runs]
            axes.plot([0, 1], pair, "o-", color=BLUE, linewidth=1)
            note_point(axes, f"seed {seed}", (1, pair[1]), (7, 0), **look)
            losses += pair
        spans.append((min(losses, default=0), max(losses, default=0)))
        axes.set_xticks([0, 1], ["tied", "own weights"])
        axes.set(xlim=(-0.3, 1.5), title=title)
    half = 0.6 * max(0.05, *(high - low for low, high in spans))
    for axes, (low, high) in zip(panels, spans, strict=True):
        axes.set_ylim((low + high) / 2 - half, (low + high) / 2 + half)
    panels[0].set_ylabel("validation loss (nats per word)")
