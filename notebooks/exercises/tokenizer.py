"""The graders of notebook 01: coverage, BERT's own pieces, and the mean of nats."""

import math

from notebooks.exercises import CountedPieces, exercise

LINES = ["the cat saw the dog", "a cat <unk> the mat", "the end"]


@exercise("1.1")
def grade_tokenizer_coverage(answer):
    got = answer(LINES, 7)  # two entries for words: the, cat
    different = (
        "you counted different words. A word that occurs ten times makes up more of "
        "the text than one that occurs once."
    )
    known = {
        2 / 7: different,
        2 / 8: different,
        11 / 12: "five of the entries are special tokens and hold no word of the text.",
        6 / 11: "<unk> is a part of the text, too, although it has no entry.",
    }
    for wrong, why in known.items():
        if math.isclose(got, wrong, abs_tol=1e-6):
            return why
    if not math.isclose(got, 6 / 12, abs_tol=1e-6):
        return f"with 7 entries, one half of {LINES} is covered; you return {got}."
    if not math.isclose(answer(LINES, 100), 11 / 12, abs_tol=1e-6):
        return "with an entry for each word, all but <unk> is covered: 11 of 12."


PIECES = CountedPieces("un ##believ ##able ##a ##ble believ a ##b b u".split())


@exercise("1.2")
def grade_tokenizer_pieces(answer):
    if not isinstance(got := answer("unbelievable", PIECES), list):
        return f"the answer is a list of pieces, not {got!r}."
    if got == ["[UNK]"]:
        return (
            "“unbelievable” can be cut into known pieces: take the longest piece that "
            "fits, and look up a piece inside the word with its ##."
        )
    if got[:2] == ["un", "believ"]:
        return "a piece inside a word is returned with its ##."
    if got != ["un", "##believ", "##able"]:
        return f"“unbelievable” is un ##believ ##able, but you return {got}."
    if (got := answer("ably", PIECES)) != ["[UNK]"]:
        return f"“ably” is [UNK], as no piece fits after a ##b, but you return {got}."
    if (got := answer("bab", PIECES)) != ["b", "##a", "##b"]:
        return f"“bab” is b ##a ##b, but you return {got}."


@exercise("1.3")
def grade_tokenizer_loss(answer):
    got = answer([1 / 2, 1 / 8])
    known = (
        (2, "this is in bits; a nat takes the natural logarithm."),
        (math.log(16 / 5), "take the mean of the losses, not of the probabilities."),
        (math.log(16), "this is the sum of both losses, not their mean."),
        (-math.log(4), "a loss is not negative: it is minus the logarithm."),
    )
    for wrong, why in known:
        if math.isclose(got, wrong, abs_tol=0.001):
            return why
    for chances in ([1 / 2, 1 / 8], [1.0], [0.9, 0.8, 0.1]):
        right = -math.log(math.prod(chances)) / len(chances)
        if not math.isclose(got := answer(chances), right, abs_tol=0.001):
            return f"for {chances} the mean of -ln p is not {got}."
