"""Lesson 6: dropout, fresh masks, and when to stop, on a text learned by heart."""

from matplotlib.figure import Figure

from helpers.figure import default_style, reference_lines
from studies import dropout
from studies.attention.references import read_references
from studies.lab.readings import Claim, Effect, losses
from studies.lab.report import BLUE, GREEN, ORANGE, plain
from studies.lessons.arms import Arm
from studies.lessons.readings import measured

ARMS = {
    "small_fresh": Arm(small=True),
    "small_static": Arm(small=True, masks="static"),
    "small_dropout": Arm({"dropout": 0.1}, small=True),
}
LOOKS = {
    "small_static": ("the same masks", ORANGE, "--"),
    "small_fresh": ("fresh masks", BLUE, "-"),
    "small_dropout": ("fresh masks, dropout", GREEN, "-."),
}


def on_the_whole_text() -> dict:
    """What dropout at BERT's sites did to the loss of a larger run."""
    effect, epochs = Effect("all", "none"), dropout.CPU_EPOCHS
    return measured(dropout.STUDY.results(), effect, f"{epochs} epochs")


CLAIMS = [
    Claim(
        "Dropout lowers the loss within eight epochs.",
        on_the_whole_text,
        "below",
        sides=("dropout, eight epochs", "no dropout"),
        primary=True,
    ),
    Claim(
        "On a small text, read over and over, dropout lowers the loss.",
        Effect("small_dropout", "small_fresh", "best loss"),
        "below",
        sides=("dropout, small text", "no dropout"),
    ),
    Claim(
        "On a small text, fresh masks at each step beat the same masks at every pass.",
        Effect("small_fresh", "small_static", "best loss"),
        "below",
        sides=("fresh masks, small text", "the same masks"),
    ),
    Claim(
        "With the same masks, early stopping lowers the loss.",
        Effect("small_static", reading="best minus last"),
        "below",
        sides=("stopped early, same masks", "trained to the end"),
    ),
    Claim(
        "With fresh masks, early stopping lowers the loss.",
        Effect("small_fresh", reading="best minus last"),
        "below",
        sides=("stopped early, fresh masks", "trained to the end"),
        primary=True,
    ),
]


@default_style()
def figure(results) -> Figure:
    """Curves on the small text, one a seed: when does a model know it by heart?

    A dot at the lowest loss of each.
    """
    drawing = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = drawing.subplots()
    for arm, (label, color, style) in LOOKS.items():
        for run in results.runs[arm].values():
            steps = [entry["step"] for entry in run["curve"]]
            axes.plot(steps, losses(run), style, color=color, linewidth=1)
            lowest = min(run["curve"], key=lambda entry: entry["loss"])
            axes.plot(lowest["step"], lowest["loss"], "o", color=color, markersize=5)
        axes.plot([], [], style, color=color, label=label)
    axes.set(xlabel="step", ylabel="validation loss (nats per word)")
    unigram = read_references(dropout.REFERENCES)["unigram"]["loss"]
    reference_lines(axes, {"unigram": unigram})
    axes.legend(frameon=False, title="dot: what early stopping keeps")
    plain(axes)
    return drawing
