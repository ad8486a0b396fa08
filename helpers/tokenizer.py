"""A word-level tokenizer, from scratch: text to ids and back.

Text is split as WikiText is (Merity et al. 2016, section 4.3): clitics stand apart
(`it 's`), and `@-@`, `@,@`, `@.@` are a hyphen, comma or point inside a word or number.
What is seen as one character stays whole, and so does a blank that a person leaves,
`[MASK]` or `___`. Left out: lower-casing and stemming.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from helpers.files import reading, write_whole

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIALS))
UNKNOWN_WORD = "<unk>"  # what WikiText itself writes for a rare word

# Nobody sees these, so they are no part of a word: Unicode's categories Cc and Cf (soft
# hyphens, spaces of no width), fillers, variation selectors. The letters that make 🏴
# the flag of a region stay, and so do the two joiners.
UNSEEN = re.compile(
    r"(🏴[\U000e0020-\U000e007f]+)|"
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f"
    r"\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2800"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000110bd"
    r"\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0001-\U000e01ef]"
)
# What belongs to the character before it: marks (accents, vowel signs), skin tones, and
# what a joiner joins. The look-ahead passes over most characters at once.
MARKS = "".join(
    c for c in map(chr, range(0x20000)) if unicodedata.category(c)[0] == "M"
)
TAIL = re.compile(
    rf"""(?=[^\x00-\u02d0])(?:
    [{MARKS}ˑ\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]
  | (?<=[^\W_]|[^\s\x00-\xa0\u200c\u200d])[\u200c\u200d]+
    (?:(?=[^\W_])|[^\w\s\x00-\xa0\u200c\u200d])
    )+""",
    re.VERBOSE,
)
# A point belongs to the first of these words always, to the next before a number, and
# to the last before a word that begins no sentence.
TITLES = "Bros|Col|Dr|Gen|Lt|Mr|Mrs|Ms|Op|Prof|Rev|Sen|Sgt|St|v|vs"
COUNTED, LOWER = "No|Nos|pp", "Co|Inc|Jr|Ltd|var"
WORD = re.compile(
    rf"""
    # WikiText's own marks, and ... and a blank
    <unk> | @[-.,]@ | \.{{2,}} | \[MASK\] | _{{3,}}
    # With their points: U.S., then Dr. and the J. of a name, No. 5, Jr.
  | (?:[^\W\d_]\.)+[^\W\d_]\.(?!\w)
  | (?:{TITLES}|[A-Z])\.(?!\w)
  | (?:{COUNTED})\.(?=\s*(?:\d|<unk>))
  | (?:{LOWER})\.(?=\s+[a-z<])
    # A word; also About.com, and the first- of "first- and second-hand".
  | [^\W_]+(?:\.[^\W_]+)*(?:-(?!\S))?
    # 's, and the 'Brien of O'Brien
  | '[^\W\d_][^\W_]*
    # A flag is two letters of its own. Any other mark stands alone.
  | (?:[🇦-🇿]{{2}}|[^\s\u200c\u200d])ˑ?
    """,
    re.VERBOSE,
)
# A hyphen inside a word, a point or comma inside a number; <unk> may be either.
INNER = re.compile(
    r"(?:(?<=[^\W_])|(?<=<unk>))-(?=[^\W_]|<unk>)"
    r"|(?:(?<=\d)|(?<=<unk>))[.,](?=\d|<unk>)"
)
# An apostrophe that opens a quotation: another, at the end of a word, closes it.
OPENING = re.compile(r"(?<![\w>])'(?=[^\W_](?:[^']|\b'\b)*(?<=[^\s'])'(?!\w))")


def split_words(text: str) -> list[str]:
    """Words of a text, split as in WikiText; any string is allowed.

    Words that are split already, with a space between any two, stay as they are.
    """
    text = unicodedata.normalize("NFC", UNSEEN.sub(r"\1", text))
    tails = iter(TAIL.findall(text))  # for each of them stands one ˑ, a letter
    text = TAIL.sub("ˑ", text)
    # Typographic marks become plain ones, unless they stand alone, as in WikiText.
    text = re.sub(r"[“”„](?=\S)|(?<=\S)[“”„]", '"', text)
    text = re.sub(r"[‘’](?=\S)|(?<=\S)[‘’]", "'", text)
    text = INNER.sub(r" @\g<0>@ ", text)
    words = WORD.findall(OPENING.sub("' ", text))
    whole = (re.sub("ˑ", lambda _: next(tails), word) for word in words)
    return [word.strip("\u200c\u200d") for word in whole]  # what joins nothing


def attached(before: str, word: str, after: str) -> tuple[bool, bool]:
    """Whether a person writes `word` without a space on its left, and on its right."""
    in_number = before[-1:].isdigit() and after[:1].isdigit()
    if word[:1] + word[-1:] == "@@" or word == "/" or (word in "–:" and in_number):
        return True, True
    left = word in {*",.;:!?)]%°"} or (word[:1] == "'" and word != "'")
    right = word in {*"([$£€#"} or (word == "'" and after[:1].isdigit())
    return left, right


def join_words(words: list[str]) -> str:
    """Words as a person would write them: the reverse of `split_words`."""
    text, space = "", ""  # `space` is what stands before the next word
    is_open = {'"': False, "'": False}
    apostrophes = words.count("'")
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        left, right = attached(before, word, after)
        if word in is_open:
            # After an s, or with none to follow, it is no opening: the Knights' coach.
            apostrophes -= word == "'"
            possessive = word == "'" and (before[-1:] == "s" or apostrophes == 0)
            is_open[word] = not (is_open[word] or possessive or right)
            left, right = not is_open[word] and not right, is_open[word] or right
        text += "" if left else space
        text += word[1] if word in ("@-@", "@,@", "@.@") else word
        space = "" if right else " "
    return text


def most_frequent(lines: Iterable[str], size: int) -> list[str]:
    """The `size` most frequent words; among equals, the first in code-point order."""
    counts = Counter(word for line in lines for word in line.split())
    for word in (UNKNOWN_WORD, *SPECIALS):
        counts.pop(word, None)
    seen = [word for word in counts if split_words(word)]
    return sorted(seen, key=lambda word: (-counts[word], word))[:size]


def entry(entries: list, i: int):
    """What stands for an id. Raises ValueError if nothing does."""
    if not 0 <= i < len(entries):
        raise ValueError(f"There is no id {i}; ids go from 0 to {len(entries) - 1}.")
    return entries[i]


class WordTokenizer:
    """Words of a fixed vocabulary to ids and back; every other word becomes [UNK]."""

    def __init__(self, words: list[str]):
        distinct = {word for word in words if isinstance(word, str)}
        if tuple(words[: len(SPECIALS)]) != SPECIALS or len(distinct) < len(words):
            raise ValueError(f"A vocabulary is {SPECIALS}, then words, each once.")
        self.words = list(words)
        # Special tokens have no entry: typed into a text, they are unknown words.
        self.ids = {word: i for i, word in enumerate(words) if word not in SPECIALS}

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def train(cls, lines: Iterable[str], vocab_size: int = 2_000) -> "WordTokenizer":
        """Takes the most frequent words of lines whose words are parted by spaces."""
        size = max(0, vocab_size - len(SPECIALS))
        return cls([*SPECIALS, *most_frequent(lines, size)])

    def encode(self, text: str | list[str]) -> list[int]:
        """Ids of a text, or of a list of words; no special tokens are added."""
        words = split_words(text) if isinstance(text, str) else text
        return [self.ids.get(word, UNK) for word in words]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, as a person would write it."""
        return join_words([entry(self.words, i) for i in ids])

    def save(self, path: Path) -> None:
        """Writes the vocabulary as JSON, one word a line."""
        write_whole(path, json.dumps({"words": self.words}, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> "WordTokenizer":
        """Reads what `save` wrote. Raises ValueError if the file is anything else."""
        with reading(path):
            return cls(json.loads(Path(path).read_text("utf-8"))["words"])
