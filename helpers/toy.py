"""The toy corpus: sentences of a small grammar whose rules a model must discover.

Words of an open class are drawn evenly and at random, so they cannot be guessed; a few
words of each sentence follow from the rest by a rule, and are marked with its name. The
ceiling of a rule is the accuracy of the best possible guess when that word alone is
hidden. Everything here is made by the seed: no file, no network.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class ToyRule:
    """What a masked model has to find out, an example, and the best accuracy."""

    what: str
    example: str
    ceiling: float


RULES = {
    "number": ToyRule(
        "verbs and pronouns agree with the subject, whatever stands between",
        "The keys near the lamp [are] old , but [they] [are] useful .",
        1.0,
    ),
    "person": ToyRule(
        "pronouns match the person right before, not one further away",
        "After Maria left , Peter kept [his] book and [he] sold [his] lamp .",
        1.0,
    ),
    "topic": ToyRule(
        "what a sentence is about is named again, another animal is not",
        "The [fox] left , the [fox] slept , the [fox] called and the [fox] waited near "
        "the owl .",
        1.0,
    ),
    "season": ToyRule(
        "a month lies in its season, and a season has its weather",
        "In July the [hot] [summer] began in the valley , Rosa said .",
        1.0,
    ),
    "month": ToyRule(
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
BESIDE = "near", "behind"
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


def toy_sentence(text: str) -> ToySentence:
    """The sentence of a text in which a rule follows its word, as in `are/number`."""
    parts = [word.partition("/") for word in text.split()]
    return ToySentence(
        [word for word, *_ in parts], [rule or None for *_, rule in parts]
    )


def toy_number(draw: random.Random) -> ToySentence:
    """A subject, a noun of either number beside it, and words that agree with it."""
    plural = draw.random() < 0.5
    subject = draw.choice(THINGS) + ("s" if plural else "")
    other = draw.choice(THINGS) + ("s" if draw.random() < 0.5 else "")
    verb, pronoun = ("are", "they") if plural else ("is", "it")
    return toy_sentence(
        f"The {subject} {draw.choice(BESIDE)} the {other} {verb}/number "
        f"{draw.choice(STATES)} , but {pronoun}/number {verb}/number "
        f"{draw.choice(WORTH)} ."
    )


def toy_person(draw: random.Random) -> ToySentence:
    """A person, another one further away, and pronouns that match the first."""
    woman = draw.random() < 0.5
    owner = draw.choice(WOMEN if woman else MEN)
    other = draw.choice([name for name in WOMEN + MEN if name != owner])
    first, second = draw.sample(THINGS, 2)
    their, they = ("her", "she") if woman else ("his", "he")
    return toy_sentence(
        f"{draw.choice(('After', 'Before'))} {other} {draw.choice(LEFT)} , {owner} "
        f"{draw.choice(DID)} {their}/person {first} and {they}/person "
        f"{draw.choice(DID)} {their}/person {second} ."
    )


def toy_topic(draw: random.Random) -> ToySentence:
    """One animal is named again and again, another one only once."""
    topic, other = draw.sample(ANIMALS, 2)
    *clauses, last = [f"{topic}/topic {draw.choice(LEFT)}" for _ in range(4)]
    listed = " , the ".join(clauses)
    beside = draw.choice(BESIDE)
    return toy_sentence(f"The {listed} and the {last} {beside} the {other} .")


def toy_season(draw: random.Random) -> ToySentence:
    """A month, its season and the weather that goes with it."""
    season = draw.choice(list(SEASONS))
    weather, *months = SEASONS[season]
    rest = (
        f"{draw.choice(BEGAN)} in the {draw.choice(PLACES)} , "
        f"{draw.choice(WOMEN + MEN)} {draw.choice(SAID)} ."
    )
    month = draw.choice(months)
    return toy_sentence(f"In {month}/month the {weather}/season {season}/season {rest}")


KINDS = [toy_number, toy_person]
KINDS += [toy_topic] * 2 + [toy_season] * 2  # whose rules are harder to find
SPLITS = {"train": (8_000, 0), "validation": (600, 1), "test": (600, 2)}  # and seed


def toy_split(split: str) -> list[ToySentence]:
    """Sentences of "train", "validation" or "test"; none of the latter is in train.

    Each is of a kind drawn at random, and they are the same each time.
    """
    count, seed = SPLITS[split]
    draw = random.Random(seed)
    sentences = [draw.choice(KINDS)(draw) for _ in range(count)]
    if split != "train":
        seen = {tuple(s.words) for s in toy_split("train")}
        sentences = [s for s in sentences if tuple(s.words) not in seen]
    return sentences
