"""The toy corpus: sentences of a small grammar whose rules a masked model must discover.

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
        "a verb agrees with its subject, across a clause about someone else",
        "The keys that the teacher found [are] old today .",
        1.0,
    ),
    "tense": Rule(
        "the time at the end says when: now or in the past",
        "The lamp near the windows [was] broken yesterday .",
        1.0,
    ),
    "pronoun": Rule(
        "a possessive matches the name of the nearest person",
        "After Maria left , Peter opened [his] letter in the garden .",
        1.0,
    ),
    "topic": Rule(
        "what a story is about is named again, whatever stands between",
        "A story about a fox and a bridge ends well for the [fox] .",
        1.0,
    ),
    "season": Rule(
        "a month lies in its season",
        "It was July , and a long [summer] began in the valley .",
        1.0,
    ),
    "month": Rule(
        "a season has three months, and nothing says which one",
        "It was [July] , and a long summer began in the valley .",
        1 / 3,
    ),
}

WOMEN = "Maria Anna Clara Helen Laura Emma Julia Rosa Nina Sarah".split()
MEN = "Peter Thomas Paul Henry David Martin Oscar Simon Victor Daniel".split()
THINGS = "key lamp book coat chair map clock boat ring basket bell mirror".split()
PEOPLE = "teacher doctor farmer singer painter sailor baker writer".split()
TOPICS = (
    "fox bridge river castle horse tower ship forest wolf garden mill island owl road "
    "bear village mountain rabbit train lake"
).split()
SEASONS = {
    "winter": ("December", "January", "February"),
    "spring": ("March", "April", "May"),
    "summer": ("June", "July", "August"),
    "autumn": ("September", "October", "November"),
}
FOUND = "found sold carried wanted painted lost hid saw".split()
STATES = "old broken new clean heavy small empty useful dark famous".split()
NOW, PAST = ("today", "now"), ("yesterday", "then")
OPENED = "opened read forgot kept showed finished".split()
OWNED = "letter diary poem song notebook drawing".split()
LEFT = "left arrived called slept waited spoke".split()
PLACES = "garden kitchen valley station market library harbour school".split()
MOODS = "well badly slowly happily early late".split()
LENGTHS = "long short quiet mild strange happy".split()
BEGAN = "began ended passed continued".split()


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
    """A verb whose subject stands before a clause or phrase of another number."""
    plural, past = draw.random() < 0.5, draw.random() < 0.5
    verb = (("is", "are"), ("was", "were"))[past][plural]
    subject = draw.choice(THINGS) + "s" * plural
    s = "s" * (draw.random() < 0.5)
    between = draw.choice(
        (
            f"that the {draw.choice(PEOPLE)}{s} {draw.choice(FOUND)}",
            f"near the {draw.choice(THINGS)}{s}",
        )
    )
    time = draw.choice((NOW, PAST)[past])
    # Hidden, the verb is decided twice over: its number by the subject, its tense by
    # the time. Each sentence is counted under one of the two rules.
    rule = draw.choice(("number", "tense"))
    state = draw.choice(STATES)
    return build(f"The {subject} {between} VERB {state} {time} .", VERB=(verb, rule))


def pronoun_sentence(draw: random.Random) -> ToySentence:
    """A possessive whose owner stands right before, another person further away."""
    woman = draw.random() < 0.5
    owner = draw.choice(WOMEN if woman else MEN)
    other = draw.choice([name for name in WOMEN + MEN if name != owner])
    opening = draw.choice(("After", "While", "Before"))
    return build(
        f"{opening} {other} {draw.choice(LEFT)} , {owner} {draw.choice(OPENED)} POSS "
        f"{draw.choice(OWNED)} in the {draw.choice(PLACES)} .",
        POSS=("her" if woman else "his", "pronoun"),
    )


def topic_sentence(draw: random.Random) -> ToySentence:
    """The first of two nouns comes back at the end."""
    topic, other = draw.sample(TOPICS, 2)
    return build(
        f"A {draw.choice(LENGTHS)} story about the {topic} and the {other} ends "
        f"{draw.choice(MOODS)} for the TOPIC .",
        TOPIC=(topic, "topic"),
    )


def season_sentence(draw: random.Random) -> ToySentence:
    """A month and its season."""
    season = draw.choice(list(SEASONS))
    month = draw.choice(SEASONS[season])
    return build(
        f"It was MONTH , and a {draw.choice(LENGTHS)} SEASON {draw.choice(BEGAN)} in "
        f"the {draw.choice(PLACES)} .",
        MONTH=(month, "month"),
        SEASON=(season, "season"),
    )


KINDS = number_sentence, pronoun_sentence, topic_sentence, season_sentence
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
