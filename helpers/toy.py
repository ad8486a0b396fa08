"""The toy corpus: sentences of a small grammar whose rules a model must discover.

Words of an open class are drawn evenly and at random, so they cannot be guessed; a few
words of each sentence follow from the rest by a rule, and are marked with its name. The
ceiling of a rule is the accuracy of the best possible guess when that word alone is
hidden. Everything here is made by the seed: no file, no network.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """What a masked model has to find out, an example, and the best accuracy."""

    what: str
    example: str
    ceiling: float


RULES = {
    "number": Rule(
        "verbs and pronouns agree with the subject, whatever stands between",
        "The keys near the lamp [are] old , but [they] [are] useful .",
        1.0,
    ),
    "person": Rule(
        "pronouns match the person right before, not one further away",
        "After Maria left , Peter kept [his] book and [he] sold [his] lamp .",
        1.0,
    ),
    "topic": Rule(
        "what a sentence is about is named again, another animal is not",
        "The [fox] left , the [fox] slept , the [fox] called and the [fox] waited near "
        "the owl .",
        1.0,
    ),
    "season": Rule(
        "a month lies in its season, and a season has its weather",
        "In July the [hot] [summer] began in the valley , Rosa said .",
        1.0,
    ),
    "month": Rule(
        "a season has three months, and nothing says which one",
        "In [July] the hot summer began in the valley , Rosa said .",
        1 / 3,
    ),
}

WOMEN, MEN = "Maria Anna Clara Rosa".split(), "Peter Thomas Paul Simon".split()
THINGS = "key lamp book coat clock boat ring bell".split()
STATES = "old new heavy small".split()
WORTH = "useful lovely famous safe".split()
DID = "kept sold found lost".split()
LEFT = "left arrived called slept waited".split()
ANIMALS = "fox wolf horse owl bear rabbit".split()
PLACES = "forest valley garden village".split()
BEGAN = "began ended passed stayed".split()
SAID = "said thought wrote hoped".split()
SEASONS = {
    "winter": ("cold", "December", "January", "February"),
    "spring": ("mild", "March", "April", "May"),
    "summer": ("hot", "June", "July", "August"),
    "autumn": ("grey", "September", "October", "November"),
}


@dataclass(frozen=True)
class ToySentence:
    """The words of a sentence and, for each, the rule that decides it, or None."""

    words: list[str]
    rules: list[str | None]


def build(template: str, **ruled: tuple[str, str]) -> ToySentence:
    """Puts each `NAME=(word, rule)` into the template in place of the word NAME."""
    parts = [ruled.get(word, (word, None)) for word in template.split()]
    return ToySentence([word for word, _ in parts], [rule for _, rule in parts])


def number_sentence(draw: random.Random) -> ToySentence:
    """A subject, a noun of either number beside it, and words that agree with it."""
    plural = draw.random() < 0.5
    subject = draw.choice(THINGS) + "s" * plural
    other = draw.choice(THINGS) + "s" * (draw.random() < 0.5)
    verb = ("are" if plural else "is", "number")
    return build(
        f"The {subject} {draw.choice(('near', 'behind'))} the {other} VERB "
        f"{draw.choice(STATES)} , but PRONOUN VERB {draw.choice(WORTH)} .",
        VERB=verb,
        PRONOUN=("they" if plural else "it", "number"),
    )


def person_sentence(draw: random.Random) -> ToySentence:
    """A person, another one further away, and pronouns that match the first."""
    woman = draw.random() < 0.5
    owner = draw.choice(WOMEN if woman else MEN)
    other = draw.choice([name for name in WOMEN + MEN if name != owner])
    first, second = draw.sample(THINGS, 2)
    return build(
        f"{draw.choice(('After', 'Before'))} {other} {draw.choice(LEFT)} , {owner} "
        f"{draw.choice(DID)} POSS {first} and SUBJ {draw.choice(DID)} POSS {second} .",
        POSS=("her" if woman else "his", "person"),
        SUBJ=("she" if woman else "he", "person"),
    )


def topic_sentence(draw: random.Random) -> ToySentence:
    """One animal is named again and again, another one only once."""
    topic, other = draw.sample(ANIMALS, 2)
    did = [draw.choice(LEFT) for _ in range(4)]
    return build(
        f"The TOPIC {did[0]} , the TOPIC {did[1]} , the TOPIC {did[2]} and the TOPIC "
        f"{did[3]} {draw.choice(('near', 'behind'))} the {other} .",
        TOPIC=(topic, "topic"),
    )


def season_sentence(draw: random.Random) -> ToySentence:
    """A month, its season and the weather that goes with it."""
    season = draw.choice(list(SEASONS))
    weather, *months = SEASONS[season]
    return build(
        f"In MONTH the WEATHER SEASON {draw.choice(BEGAN)} in the "
        f"{draw.choice(PLACES)} , {draw.choice(WOMEN + MEN)} {draw.choice(SAID)} .",
        MONTH=(draw.choice(months), "month"),
        SEASON=(season, "season"),
        WEATHER=(weather, "season"),
    )


# The rules that are harder to find come up more often.
KINDS = (
    number_sentence,
    person_sentence,
    topic_sentence,
    topic_sentence,
    season_sentence,
    season_sentence,
)
SPLITS = {"train": (8_000, 0), "validation": (600, 1), "test": (600, 2)}


def toy_sentences(count: int, seed: int) -> list[ToySentence]:
    """Draws sentences of all kinds evenly; the same for the same seed."""
    draw = random.Random(seed)
    return [draw.choice(KINDS)(draw) for _ in range(count)]


def toy_split(split: str) -> list[ToySentence]:
    """Sentences of "train", "validation" or "test"; none of the latter is in train."""
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; choose one of {list(SPLITS)}.")
    sentences = toy_sentences(*SPLITS[split])
    if split != "train":
        seen = {tuple(s.words) for s in toy_sentences(*SPLITS["train"])}
        sentences = [s for s in sentences if tuple(s.words) not in seen]
    return sentences
