"""Lesson 4: how small may the model be?"""

from matplotlib.ticker import NullFormatter

from studies.lab.claims import Claim, Effect
from studies.lab.figures import BLUE, ORANGE, figure_of, interval_columns
from studies.lessons.arms import LessonArm
from studies.lessons.readings import AT_STEPS, AT_TIME

# Smaller models have more steps, enough for the time of the base.
ARMS = {
    "layers_1": LessonArm({"n_layers": 1}, steps=2_200),
    "layers_2": LessonArm({"n_layers": 2}, steps=1_100),
    "layers_6": LessonArm({"n_layers": 6}),
    "d_model_64": LessonArm({"d_model": 64, "d_ff": 128}, steps=1_500),
    "d_model_128": LessonArm({"d_model": 128, "d_ff": 256}, steps=1_100),
    "d_model_384": LessonArm({"d_model": 384, "d_ff": 768}),
    "heads_1": LessonArm({"n_heads": 1}, steps=600),
    "heads_4": LessonArm({"n_heads": 4}, steps=600),
    "heads_16": LessonArm({"n_heads": 16}),
}
SIZES = {
    "layers": {1: "layers_1", 2: "layers_2", 4: "base", 6: "layers_6"},
    "d_model": {64: "d_model_64", 128: "d_model_128", 256: "base", 384: "d_model_384"},
    "heads": {1: "heads_1", 4: "heads_4", 8: "base", 16: "heads_16"},
}
CLAIMS = [
    Claim(
        "In the same training time, a model with 2 layers reaches a lower loss than a "
        "model with 4 layers.",
        Effect("layers_2", "base", AT_TIME),
        sides=("2 layers, same time", "4 layers"),
        primary=True,
    ),
    Claim(
        "In the same training time, a model with half of the width reaches a lower "
        "loss than a model with the full width.",
        Effect("d_model_128", "base", AT_TIME),
        sides=("half the width, same time", "full width"),
    ),
    Claim(
        "One head is as good as eight heads.",
        Effect("heads_1", "base", AT_STEPS),
        "same",
        sides=("1 head", "8 heads"),
    ),
]
LOOKS = {  # label, colour, style, and a shift, so that intervals lie side by side
    AT_STEPS: ("same steps", BLUE, "o-", 0.97),
    AT_TIME: ("same time", ORANGE, "s--", 1.03),
}


@figure_of(1, 3, size=(8.8, 3.2), sharey=True)
def size_figure(panels, results) -> None:
    """Loss by layers, width and heads, after as many steps and after as much time."""
    for axes, (factor, arms) in zip(panels, SIZES.items(), strict=True):
        for reading, (label, color, style, shift) in LOOKS.items():
            places = [size * shift for size in arms]
            intervals = [results.readings[arm][reading] for arm in arms.values()]
            look = {"label": label, "markersize": 5}
            interval_columns(axes, places, intervals, style, color, **look)
        axes.set(xscale="log", xlabel=factor)
        axes.set_xticks([*arms], [*arms])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    panels[0].set_ylabel("validation loss (nats per word)")
    panels[0].legend(frameon=False, fontsize=9)
