"""Checks of a word-level tokenizer."""

from helpers.tokenizer import MASK, SPECIALS, UNK
from notebooks.grader import grader_check

LINES = ["the cat saw the dog", "the dog saw a bird", "a cat", "zebra yak"]
WORDS = "the cat saw dog a bird zebra yak".split()
FIRST = len(SPECIALS)


def tokenizer_evidence(seen, adapters):
    make = adapters.tokenizer
    seen.whole = make(LINES, FIRST + len(WORDS))
    seen.ids = [*seen.whole.encode(WORDS)]
    seen.small = make(LINES, FIRST + 2)
    # Three words of equal frequency and room for two, the lines in either order.
    seen.ties = [make([*lines], FIRST + 2) for lines in ("bca", "acb")]


@grader_check(
    "each word has an id of its own",
    "If two words share an id, nothing can tell them apart again.",
)
def check_tokenizer_distinct(seen):
    return len({*seen.ids}) == len(WORDS), f"{WORDS} became {seen.ids}"


@grader_check(
    "no word has the id of a special token",
    "Number the words from 5 up, after [PAD], [UNK], [CLS], [SEP] and [MASK].",
)
def check_tokenizer_specials(seen):
    return min(seen.ids) >= FIRST, f"the smallest id of a word is {min(seen.ids)}"


@grader_check(
    "ids are smaller than vocab_size",
    "Count the special tokens, too: they are part of the vocabulary.",
)
def check_tokenizer_size(seen):
    size = FIRST + len(WORDS)
    return max(seen.ids) < size, f"vocab_size is {size}, the largest id {max(seen.ids)}"


@grader_check(
    "a text comes back from its ids",
    "decode must look up each id in the same table as encode, in the same order.",
)
def check_tokenizer_decode(seen):
    text = seen.whole.decode(seen.whole.encode(["the", "dog", "saw", "a", "cat"]))
    return text.split() == "the dog saw a cat".split(), f"'{text}' came back"


@grader_check(
    "an unknown word becomes [UNK]",
    "Look words up with a default: ids.get(word, UNK).",
)
def check_tokenizer_unknown(seen):
    ids = [*seen.whole.encode(["unicorn", "the"])]
    return ids[0] == UNK and ids[1] != UNK, f"'unicorn the' became {ids}"


@grader_check(
    "the most frequent words are kept",
    "Sort the words by decreasing count before you cut the list.",
)
def check_tokenizer_frequent(seen):
    ids = [*seen.small.encode(["the", "zebra"])]
    return ids[0] != UNK and ids[1] == UNK, f"with room for two, 'the zebra' is {ids}"


@grader_check(
    "words of equal frequency do not depend on the order of the text",
    "Break ties by the word itself: sort by (-count, word).",
)
def check_tokenizer_ties(seen):
    forward, backward = ([*t.encode(["a", "b", "c"])] for t in seen.ties)
    return forward == backward, f"'a b c' is {forward} or {backward}"


@grader_check(
    "[MASK] typed into a text is an ordinary unknown word",
    "Keep the special tokens out of the table that encode uses. Otherwise a reader who "
    "types one could ask for a prediction, or end a row, in the middle of a text.",
)
def check_tokenizer_typed_mask(seen):
    (word_id,) = seen.whole.encode(["[MASK]"])
    return word_id != MASK, f"a typed [MASK] became {word_id}"
