"""How a text is cut, and how it is put together again; for both tokenizers.

Words are split as in WikiText (Merity et al. 2016, section 4.3): a clitic stands apart
(`it 's`), and `@-@`, `@,@`, `@.@` stand for a hyphen, comma or point inside a word or
number. What is seen as one character stays whole, and so does a blank, `[MASK]` or
`___`. Left out: lower-casing and stemming.
"""

import re
import unicodedata

UNKNOWN_WORD = "<unk>"  # what WikiText itself writes for a rare word

# Characters that nobody sees are not part of a word: Unicode's categories Cc and Cf
# (soft hyphens, spaces of no width), fillers, variation selectors. The letters that
# make 🏴 the flag of a region stay, and so do the two joiners.
UNSEEN = re.compile(
    r"(🏴[\U000e0020-\U000e007f]+)|"
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f"
    r"\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2800"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000110bd"
    r"\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0001-\U000e01ef]"
)
# These belong to the character before them: marks (accents, vowel signs), skin tones,
# and what a joiner joins. The look-ahead skips most characters at once.
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
# A point always belongs to the first group of these words, to the second if a number
# follows, and to the third if the next word does not begin a sentence.
TITLES = "Bros|Col|Dr|Gen|Lt|Mr|Mrs|Ms|Op|Prof|Rev|Sen|Sgt|St|v|vs"
COUNTED, LOWER = "No|Nos|pp", "Co|Inc|Jr|Ltd|var"
WORD = re.compile(
    rf"""
    # WikiText's own marks, and ... and a blank
    <unk> | @[-.,]@ | \.{{2,}} | \[MASK\] | _{{3,}}
    # Words that keep their points: U.S., then Dr. and the J. of a name, No. 5, Jr.
  | (?:[^\W\d_]\.)+[^\W\d_]\.(?!\w)
  | (?:{TITLES}|[A-Z])\.(?!\w)
  | (?:{COUNTED})\.(?=\s*(?:\d|<unk>))
  | (?:{LOWER})\.(?=\s+[a-z<])
    # A word; also About.com, and the first- of "first- and second-hand".
  | [^\W_]+(?:\.[^\W_]+)*(?:-(?!\S))?
    # 's, and the 'Brien of O'Brien
  | '[^\W\d_][^\W_]*
    # A flag is a pair of special letters. Any other mark stands alone.
  | (?:[🇦-🇿]{{2}}|[^\s\u200c\u200d])ˑ?
    """,
    re.VERBOSE,
)
# A hyphen inside a word; a point or comma inside a number. <unk> may be either.
INNER = re.compile(
    r"(?:(?<=[^\W_])|(?<=<unk>))-(?=[^\W_]|<unk>)"
    r"|(?:(?<=\d)|(?<=<unk>))[.,](?=\d|<unk>)"
)
# An apostrophe opens a quotation if another one, at the end of a word, closes it.
OPENING = re.compile(r"(?<![\w>])'(?=[^\W_](?:[^']|\b'\b)*(?<=[^\s'])'(?!\w))")


def split_words(text: str) -> list[str]:
    """The words of any string, split as in WikiText.

    A text that is already split, with spaces between its words, keeps these words.
    """
    text = unicodedata.normalize("NFC", UNSEEN.sub(r"\1", text))
    tails = iter(TAIL.findall(text))  # one ˑ, a letter, stands for each
    text = TAIL.sub("ˑ", text)
    # Typographic marks become plain ones, unless they stand alone, as in WikiText.
    text = re.sub(r"[“”„](?=\S)|(?<=\S)[“”„]", '"', text)
    text = re.sub(r"[‘’](?=\S)|(?<=\S)[‘’]", "'", text)
    text = INNER.sub(r" @\g<0>@ ", text)
    words = WORD.findall(OPENING.sub("' ", text))
    whole = (re.sub("ˑ", lambda _: next(tails), word) for word in words)
    return [word.strip("\u200c\u200d") for word in whole]  # a joiner that joins nothing


def text_spacing(before: str, word: str, after: str) -> tuple[bool, bool]:
    """Whether `word` is written without a space on its left, and on its right."""
    in_number = before[-1:].isdigit() and after[:1].isdigit()
    if word[:1] + word[-1:] == "@@" or word == "/" or (word in "–:" and in_number):
        return True, True
    left = word in {*",.;:!?)]%°"} or (word[:1] == "'" and word != "'")
    right = word in {*"([$£€#"} or (word == "'" and after[:1].isdigit())
    return left, right


def join_words(words: list[str]) -> str:
    """The text of some words, spaced as usual: the reverse of `split_words`."""
    text, space = "", ""  # `space` is what stands before the next word
    is_open = {'"': False, "'": False}
    apostrophes = words.count("'")
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        left, right = text_spacing(before, word, after)
        if word in is_open:
            # One after an s, or the last one, opens nothing: the Knights' coach.
            apostrophes -= word == "'"
            possessive = word == "'" and (before[-1:] == "s" or apostrophes == 0)
            is_open[word] = not (is_open[word] or possessive or right)
            left, right = not is_open[word] and not right, is_open[word] or right
        text += "" if left else space
        text += word[1] if word in ("@-@", "@,@", "@.@") else word
        space = "" if right else " "
    return text
