"""Lesson 3: does a small vocabulary train better, and are subwords the fix?"""

from studies.lab.claims import Claim, Effect
from studies.lab.figures import BLUE, ORANGE, figure_of, interval_rows, label_rows
from studies.lessons.arms import BASE, LessonArm

NAMES = {
    "base": "2,000 words",
    "words_5000": "5,000 words",
    "words_10000": "10,000 words",
    "pieces_2000": "2,000 byte pairs",
    "pieces_8000": "8,000 byte pairs",
}
ARMS = {
    "words_5000": LessonArm({"vocab_size": 5_000}),
    "words_10000": LessonArm({"vocab_size": 10_000}),
    "read_10000": LessonArm({"vocab_size": 10_000}, masks="known only"),
    "pieces_2000": LessonArm(pieces=True),
    "pieces_8000": LessonArm({"vocab_size": 8_000}, pieces=True),
}
# Whose models are asked the words that all vocabularies share.
ASKED_ARMS = [BASE, *(ARMS[name] for name in NAMES if name in ARMS)]
CLAIMS = [
    Claim(
        "Of the frequent words, a model with 2,000 words guesses more right than a "
        "model with 10,000 words.",
        Effect("base", "words_10000", "shared"),
        "above",
        "percentage points",
        primary=True,
    ),
    Claim(
        "Of the rare words, a model with 8,000 byte pairs guesses more right than a "
        "model with 10,000 words.",
        Effect("pieces_8000", "words_10000", "rare"),
        "above",
        "percentage points",
        primary=True,
    ),
    Claim(
        "Of the frequent words, a model with 8,000 byte pairs guesses as many right as "
        "a model with 2,000 words.",
        Effect("pieces_8000", "base", "shared"),
        "same",
        "percentage points",
    ),
    Claim(
        "[UNK] makes other words harder to guess: on the same 2,000 words, a model "
        "that can read 8,000 more words has a lower loss.",
        Effect("read_10000", "base"),
        sides=("reads 10,000 words", "reads 2,000 words"),
    ),
]
TITLES = {
    "shared": "6,000 frequent words, right (%)",
    "bits": "same words, bits per character",
    "rare": "1,500 rare words (%)",
}


@figure_of(1, 3, size=(8.8, 3.0), sharey=True)
def vocabulary_figure(panels, results) -> None:
    """The same words asked of models with different vocabularies."""
    readings = [results.readings[arm] for arm in NAMES]
    for axes, (key, title) in zip(panels, TITLES.items(), strict=True):
        interval_rows(axes, [reading[key] for reading in readings])
        axes.set_xlabel(title)
        label_rows(axes, [*NAMES.values()])
    rare, held = panels[2], [reading["held"]["mean"] for reading in readings]
    hollow = {"color": ORANGE, "markerfacecolor": "none", "label": "in the vocabulary"}
    rare.plot([], [], "o", color=BLUE, label="right")
    rare.plot(held, range(len(held)), "D", **hollow)
    rare.set_xlim(-4, 104)
    rare.legend(frameon=False, fontsize=8.5, loc="upper right")
