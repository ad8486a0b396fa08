"""Our tokenizers as `tokenizer.json`, the file that the `tokenizers` library reads.

The file holds rules and no code: what happens to a text first (normaliser), where it is
cut (pre-tokenizer), and which piece has which id (model). The patterns are those of
`helpers.text`, translated to Oniguruma, the library's dialect. The same text gets
the same ids, with these exceptions:

- `[MASK]` in a text becomes the special token. Our tokenizer takes it for an unknown
  word, and leaves blanks to the explorer. transformers treats the other special tokens
  in the same way.
- The library refuses half a surrogate pair.
- Python and the library know the characters of different versions of Unicode.
- A joiner (U+200C, U+200D) beside a typographic quotation mark may join differently.
"""

import re

from helpers import text as ours
from helpers.bpe import CHUNK, FIRST_BYTE, BPETokenizer
from helpers.text import split_words
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, UNK, WordTokenizer

TAGS = r"\x{E0020}-\x{E007F}"  # the letters that make 🏴 the flag of a region
SPACE = (
    r"\t-\r\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}"
    r"\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
)
LETTER = r"\p{L}\p{N}"  # Python's \w without the underscore
JOINERS = r"\x{200C}\x{200D}"
# Joiners between a letter and whatever stands before it.
JOINING = (
    rf"(?<=[{LETTER}]|[^{SPACE}\x{{0}}-\x{{A0}}{JOINERS}])[{JOINERS}]+(?=[{LETTER}])"
)
# Python's classes in Oniguruma, longer ones first.
CLASSES = {
    r"[^\W_]+": rf"(?:[{LETTER}]|{JOINING})+",
    r"[^\W_]*": rf"(?:[{LETTER}]|{JOINING})*",
    r"[^\W_]": rf"[{LETTER}]",
    r"[^\W\d_]": r"[\p{L}\p{Nl}\p{No}]",
    r"[\w>]": rf"[{LETTER}_>]",
    r"[^\w\s": rf"[^{LETTER}_{SPACE}",
    r"[^\s": rf"[^{SPACE}",
    r"\b'\b": rf"(?<=[{LETTER}_])'(?=[{LETTER}_])",
    r"\w": rf"[{LETTER}_]",
    r"\d": r"\p{Nd}",
    r"\S": rf"[^{SPACE}]",
    r"\s": rf"[{SPACE}]",
    ours.MARKS: r"\p{M}",
}


def oniguruma_pattern(pattern: str) -> str:
    """A pattern of Python's in Oniguruma's dialect."""
    escape = re.compile(r"\\(?:x(..)|u(.{4})|U(.{8}))")
    pattern = escape.sub(lambda m: rf"\x{{{int(m[m.lastindex], 16):X}}}", pattern)
    classes = "|".join(map(re.escape, CLASSES))
    return re.sub(classes, lambda m: CLASSES[m[0]], pattern)


def oniguruma_edit(pattern: str, old: str, new: str) -> str:
    """The pattern with one part replaced; ValueError unless it has it once."""
    if pattern.count(old) != 1:
        raise ValueError(f"{pattern!r:.60} does not hold {old!r} once.")
    return pattern.replace(old, new)


def json_normaliser_rules() -> list[tuple[str, str]]:
    """What is replaced, and by what, before a text is cut. NFC stands as ("", "")."""
    _, unseen = ours.UNSEEN.pattern.split(")|")
    # In `split_words` what belongs to a character becomes ˑ, a letter, for a while.
    # Here it stays ˑ: words with marks are outside the vocabulary anyway. Joiners
    # before a letter are left to JOINING.
    tail = oniguruma_edit(ours.TAIL.pattern, r"(?:(?=[^\W_])|", "(?:ˑ|")
    hyphen, mark = ours.INNER.pattern.split(r"|(?:(?<=\d)")
    in_number = r"(?:(?<=\d)" + mark
    return [
        (rf"(?<![🏴{TAGS}])[{TAGS}]+|{oniguruma_pattern(unseen)[:-1]}&&[^{TAGS}]]", ""),
        ("", ""),
        ("(?x)" + oniguruma_pattern(tail), "ˑ"),
        (rf"(?<=[“”„])[{JOINERS}]+(?=[{LETTER}])", ""),
        (rf"(?<=[‘’])[{JOINERS}]+(?=[{LETTER}])", "ˑ"),
        (oniguruma_pattern(r"[“”„](?=\S)|(?<=\S)[“”„]"), '"'),
        (oniguruma_pattern(r"[‘’](?=\S)|(?<=\S)[‘’]"), "'"),
        (oniguruma_pattern(hyphen), " @-@ "),
        (oniguruma_pattern(oniguruma_edit(in_number, "[.,]", r"\.")), " @.@ "),
        (oniguruma_pattern(oniguruma_edit(in_number, "[.,]", ",")), " @,@ "),
        (oniguruma_pattern(ours.OPENING.pattern), "' "),
    ]


def json_word_pattern() -> str:
    """What is a word, after the normaliser."""
    pattern = oniguruma_pattern(re.sub(r"^ *#.*$", "", ours.WORD.pattern, flags=re.M))
    return "(?x)" + oniguruma_edit(pattern, ")ˑ?", f")ˑ?(?:{JOINING})?")


def tokenizer_json_frame(tokenizer, cls: str = "[CLS]", sep: str = "[SEP]"):
    """Adds what is the same for both: [CLS] text [SEP], and [MASK] in a text."""
    from tokenizers import AddedToken, processors

    frame = {"special_tokens": [(cls, CLS), (sep, SEP)]}
    tokenizer.post_processor = processors.TemplateProcessing(
        f"{cls} $A {sep}", f"{cls} $A {sep} $B:0 {sep}:0", **frame
    )
    # Looked for in what the normaliser has made of a text, as our tokenizer does.
    tokenizer.add_special_tokens([AddedToken(SPECIALS[MASK], normalized=True)])
    return tokenizer


def word_tokenizer_json(tokenizer: WordTokenizer):
    """The word-level tokenizer as one of the library.

    ValueError for a vocabulary with words that it would cut differently.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    ids = {word: i for i, word in enumerate(tokenizer.words)}
    made = Tokenizer(models.WordLevel(ids, unk_token=SPECIALS[UNK]))
    replace = (
        normalizers.Replace(Regex(old), new) if old else normalizers.NFC()
        for old, new in json_normaliser_rules()
    )
    made.normalizer = normalizers.Sequence([*replace])
    joiners = rf"\A[{JOINERS}]+|[{JOINERS}]+\z"
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(json_word_pattern()), "removed", invert=True),
            pre_tokenizers.Split(Regex(joiners), "removed"),
        ]
    )
    words = [word for word in tokenizer.ids if split_words(word) == [word]]
    theirs = made.encode_batch(words)
    odd = [w for w, t in zip(words, theirs, strict=True) if t.ids != [ids[w]]]
    if odd:
        raise ValueError(
            f"tokenizer.json cannot hold the word {odd[0]!r} ({len(odd)} such words); "
            "train a tokenizer without it."
        )
    return tokenizer_json_frame(made)


def json_byte_letters() -> list[str]:
    """The letter that stands for each byte in the library's file, as in GPT-2's."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def bpe_tokenizer_json(tokenizer: BPETokenizer):
    """The byte-pair tokenizer as one of the library.

    ValueError if two merges make the same bytes, which it cannot tell apart.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        pre_tokenizers,
    )

    letters = json_byte_letters()
    names = ["".join(letters[byte] for byte in token) for token in tokenizer.tokens]
    names[:FIRST_BYTE] = SPECIALS
    names[UNK] = ours.UNKNOWN_WORD
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"Two merges make {twice!r}, and tokenizer.json has one id for each piece; "
            "train a tokenizer with fewer merges."
        )
    ids = {name: i for i, name in enumerate(names)}
    merges = [(names[left], names[right]) for left, right in tokenizer.merges]
    made = Tokenizer(models.BPE(ids, merges, unk_token=names[UNK]))
    pattern = CHUNK.pattern.removeprefix(f"{ours.UNKNOWN_WORD}|")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(names[UNK], normalized=False)])
    return tokenizer_json_frame(made)


def tokenizer_json(tokenizer):
    """Our tokenizer as one of the library; TypeError for any other."""
    kinds = {WordTokenizer: word_tokenizer_json, BPETokenizer: bpe_tokenizer_json}
    for kind, write in kinds.items():
        if isinstance(tokenizer, kind):
            return write(tokenizer)
    raise TypeError(
        f"The tokenizer is a {type(tokenizer).__name__}; give a WordTokenizer or a "
        "BPETokenizer."
    )
