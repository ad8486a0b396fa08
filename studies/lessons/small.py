"""Lesson 6: dropout, fresh masks, and when to stop, on a text learned by heart."""

from helpers.figure import reference_loss_lines
from helpers.record import read_record
from studies import dropout
from studies.lab.claims import Claim, Effect
from studies.lab.figures import BLUE, GREEN, ORANGE, figure_of
from studies.lessons.arms import LessonArm
from studies.lessons.readings import read_elsewhere

ARMS = {
    "small_fresh": LessonArm(small=True),
    "small_static": LessonArm(small=True, masks="static"),
    "small_dropout": LessonArm({"dropout": 0.1}, small=True),
}
LOOKS = {
    "small_static": ("the same masks", ORANGE, "--"),
    "small_fresh": ("fresh masks", BLUE, "-"),
    "small_dropout": ("fresh masks, dropout", GREEN, "-."),
}
ON_THE_WHOLE_TEXT = read_elsewhere(
    dropout.STUDY, lambda _: Effect("all", "none"), f"{dropout.CPU_EPOCHS} epochs"
)
CLAIMS = [
    Claim(
        "Dropout lowers the loss within eight epochs.",
        ON_THE_WHOLE_TEXT,
        sides=("dropout, eight epochs", "no dropout"),
        primary=True,
    ),
    Claim(
        "On a small text that is read over and over, dropout lowers the loss.",
        Effect("small_dropout", "small_fresh", "best loss"),
        sides=("dropout, small text", "no dropout"),
    ),
    Claim(
        "On a small text, fresh masks at each step beat the same masks at every pass.",
        Effect("small_fresh", "small_static", "best loss"),
        sides=("fresh masks, small text", "the same masks"),
    ),
    Claim(
        "On a small text with the same masks at every pass, early stopping lowers the "
        "loss.",
        Effect("small_static", reading="best minus last"),
        sides=("stopped early, same masks", "trained to the end"),
    ),
    Claim(
        "On a small text with fresh masks at each step, early stopping lowers the "
        "loss.",
        Effect("small_fresh", reading="best minus last"),
        sides=("stopped early, fresh masks", "trained to the end"),
        primary=True,
    ),
]


@figure_of(size=(6.4, 3.6))
def small_figure(axes, results) -> None:
    """Curves on the small text, one a seed: when does a model know it by heart?

    A dot at the lowest loss of each.
    """
    for arm, (label, color, style) in LOOKS.items():
        axes.plot([], [], style, color=color, label=label)
        for run in results.runs[arm].values():
            curve = [(entry["loss"], entry["step"]) for entry in run["curve"]]
            losses, steps = zip(*curve, strict=True)
            axes.plot(steps, losses, style, color=color, linewidth=1)
            lowest, step = min(curve)
            axes.plot(step, lowest, "o", color=color, markersize=5)
    axes.set(xlabel="step", ylabel="validation loss (nats per word)")
    unigram = read_record(dropout.REFERENCES)["unigram"]["loss"]
    reference_loss_lines(axes, {"unigram": unigram})
    axes.legend(frameon=False, title="dot: what early stopping keeps")
