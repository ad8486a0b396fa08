"""A word-level tokenizer, from scratch: text to ids and back.

Free text is split as WikiText is (Merity et al. 2016, section 4.3): clitics stand apart
(`it 's`), and `@-@`, `@,@`, `@.@` are a hyphen, comma or point inside a word or number.
Left out: lower-casing, stemming, and the normalisation of Unicode.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIALS))
UNKNOWN_WORD = "<unk>"  # what WikiText itself writes for a rare word

TYPOGRAPHY = str.maketrans("“”„‘’", '"""\'\'')
TITLES = "No|St|Dr|Mr|Mrs|Ms|Op|vs|Vol|Co|Lt|Col|Gen|Rev|Nos"
INNER = re.compile(r"(?<=[\d>])[.,](?=[\d<])|(?<=[\w>])-(?=[\w<])")
WORD = re.compile(
    r"@[-,.]@|<unk>"  # marks of a text that is split already
    r"|(?:[^\W\d_]\.){2,}"  # U.S.
    rf"|(?:{TITLES}|[A-Z])\.(?=\s\S)"  # Dr. and J., but not at the end of a text
    r"|\.{2,}"  # ...
    r"|'\w+"  # 's
    r"|\w+|[^\w\s]"
)
SPLIT_ALREADY = re.compile(r"(?<!\S)(?:@[-,.]@|[.,])(?!\S)")


def split_words(text: str) -> list[str]:
    """Words of a text, split as in WikiText; any string is allowed.

    A text in which a point, a comma or `@-@` stands alone counts as split already, and
    only its spaces are cut.
    """
    if SPLIT_ALREADY.search(text):
        return text.split()
    text = text.translate(TYPOGRAPHY)
    return WORD.findall(INNER.sub(lambda mark: f" @{mark[0]}@ ", text))


def join_words(words: list[str]) -> str:
    """Words as a person would write them: the reverse of `split_words`."""
    text = " ".join(words)
    text = re.sub(r" @([-,.])@ ", r"\1", text)
    text = re.sub(r'(^| )" (.*?) "(?= |$)', r'\1"\2"', text)  # quotes go in pairs
    text = re.sub(r" (?=[.,;:!?%)\]°](?: |$|\"))", "", text)
    text = re.sub(r" (?='\w)| (?=' )", "", text)
    return re.sub(r"(?<=[(\[$£€]) ", "", text)


def most_frequent(lines: Iterable[str], size: int) -> list[str]:
    """The `size` most frequent words; among equals, the first in code-point order."""
    counts = Counter(word for line in lines for word in line.split())
    for word in (UNKNOWN_WORD, *SPECIALS):
        counts.pop(word, None)
    return sorted(counts, key=lambda word: (-counts[word], word))[:size]


def read_vocabulary(path: Path) -> list[str]:
    """The words in a file written by `save`; ValueError if it is anything else."""
    try:
        words = json.loads(Path(path).read_text(encoding="utf-8"))["words"]
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
        raise TypeError("no list of words")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no vocabulary of this project ({error}); save it again with "
            "WordTokenizer.save, or fetch it again."
        ) from error


class WordTokenizer:
    """Gives each word of a fixed vocabulary an id; every other word becomes [UNK].

    Ids follow the order of `words`, which begins with the special tokens.
    """

    def __init__(self, words: list[str]):
        n = len(SPECIALS)
        if tuple(words[:n]) != SPECIALS or len(set(words)) != len(words):
            raise ValueError(
                f"A vocabulary begins with {SPECIALS} and repeats nothing."
            )
        self.words = list(words)
        # Special tokens have no entry: nobody can type a [MASK] into a text.
        self.ids = {word: i for i, word in enumerate(self.words) if i >= n}

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def train(cls, lines: Iterable[str], vocab_size: int = 2_000) -> "WordTokenizer":
        """Takes the most frequent words of lines whose words are parted by spaces."""
        return cls([*SPECIALS, *most_frequent(lines, vocab_size - len(SPECIALS))])

    def encode(self, text: str | list[str]) -> list[int]:
        """Ids of a text, or of a list of words; no special tokens are added."""
        words = split_words(text) if isinstance(text, str) else text
        return [self.ids.get(word, UNK) for word in words]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, as a person would write it."""
        return join_words([self.words[i] for i in ids])

    def save(self, path: Path) -> None:
        """Writes the vocabulary as JSON."""
        Path(path).write_text(json.dumps({"words": self.words}, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> "WordTokenizer":
        """Reads what `save` wrote; ValueError if the file is damaged."""
        return cls(read_vocabulary(path))
