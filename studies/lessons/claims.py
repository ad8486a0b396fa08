"""The claims of the lessons, by the number of the lesson.

A primary claim is the lesson's own sentence; others were added to understand it.
"""

from studies import dropout, plateau
from studies.lab.claims import Claim, Effect
from studies.lessons import readings
from studies.lessons.readings import AT_STEPS, AT_TIME, LONE

PACKED = "pack_64", "pack_128"
TYING_PAIRS = {
    "2,000 words": ("base", "untied"),
    "10,000 words": ("words_10000", "untied_10000"),
}
LESSONS: dict[int | None, list[Claim]] = {}
# Does the cost grow with the square of the length?
LESSONS[1] = [
    Claim(
        "At a length of 64, the quadratic part of attention takes most of a training "
        "step.",
        readings.scaling_reading_row,
        "above",
        "% of a step beyond half",
        primary=True,
    )
]
# Is a length of 64 better than 128, and is padding why?
LESSONS[2] = [
    Claim(
        "With one line per row, rows of 64 tokens beat rows of 128 tokens.",
        Effect("pad_64", "pad_128", AT_TIME),
        sides=("64, one line per row", "128, one line per row"),
        primary=True,
    ),
    Claim(
        "With packed rows, the lead of 64 tokens over 128 tokens is smaller than with "
        "one line per row.",
        Effect("pad_64", "pad_128", AT_TIME, PACKED),
    ),
    Claim(
        "Among rows of 64 tokens, packed rows beat padded rows.",
        Effect("pack_64", "pad_64", AT_TIME),
        sides=("64, packed", "64, one line per row"),
    ),
    Claim(
        "When each sentence is scored by itself, packed rows of 64 tokens still beat "
        "padded rows of 64 tokens.",
        Effect("pack_64", "pad_64", LONE),
        sides=("packed, lone sentences", "one line per row, lone sentences"),
    ),
    Claim(
        "When each sentence is scored by itself, the lead of 64 tokens over 128 tokens "
        "is still smaller with packed rows than with one line per row.",
        Effect("pad_64", "pad_128", LONE, PACKED),
    ),
    Claim(
        "Among rows of at most 64 tokens, buckets with lines of similar length beat "
        "padded rows.",
        Effect("bucket_64", "pad_64", AT_TIME),
        sides=("64, buckets", "64, one line per row"),
    ),
]
# Does a small vocabulary train better, and are subwords the fix?
LESSONS[3] = [
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
# How small may the model be?
LESSONS[4] = [
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
# Does it matter whether the output layer's weights are the embedding's?
LESSONS[5] = [
    Claim(
        f"With a vocabulary of {words}, tying the output layer to the embedding does "
        "not matter.",
        Effect(*pair),
        "same",
        sides=(f"tied, {words}", "weights of its own"),
        primary=words == "2,000 words",
    )
    for words, pair in TYING_PAIRS.items()
]
# Dropout, fresh masks, and when to stop, on a text learned by heart.
LESSONS[6] = [
    Claim(
        "Dropout lowers the loss within eight epochs.",
        lambda: readings.elsewhere_reading_row(
            dropout.STUDY, lambda _: Effect("all", "none"), f"{dropout.EPOCHS} epochs"
        ),
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
# What ends the collapse, how much to mask, and by what?
LESSONS[7] = [
    Claim(
        "The collapse ends sooner with rotary positions than with learned positions.",
        lambda: readings.elsewhere_reading_row(
            plateau.STUDY,
            lambda results: Effect(
                plateau.plateau_arm(results, "rotary"),
                plateau.plateau_arm(results, "learned"),
                "step_left",
            ),
            f"up to {plateau.STEPS:,} steps",
        ),
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
# Grammar or facts? Of the shipped model without dropout.
LESSONS[8] = [
    Claim(
        "The model knows grammar better than facts: it guesses more of the function "
        "words right than of the names.",
        readings.grammar_reading_row,
        "above",
        "percentage points",
        primary=True,
    )
]
# A choice of this study itself.
LESSONS[None] = [
    Claim(
        "A learning rate that falls to 0 beats a constant rate of half its peak.",
        Effect("falling", "base"),
        sides=("a rate that falls", "a constant rate"),
    )
]
