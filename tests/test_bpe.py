"""Byte-pair encoding against the `tokenizers` library, and against unkind input."""

import json
import random
import time

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from helpers.bpe import FIRST_BYTE, FIRST_MERGE, BPETokenizer, chunks
from helpers.tokenizer import SPECIALS, UNK

TEXT = """the cat sat on the mat . the cats sat on the mats , and the dog
ran to the cat .  naïve café , naïve cafés ; 東京 と 京都 🙂 <unk> aaaa aaa aa
banana bandana <unk>s the<unk>the mississippi"""
UNKIND = [
    "",
    " ",
    "a  b\n\n c ",
    "\r\n\t\0\x1c\u2028",
    "naïve café 東京 🙂 שלום مرحبا",
    "\ud800 \udfff\ud83d\ude00",
    "<unk><unk> <UNK> <unk",
    "[MASK] [PAD]",
    "<b>&amp;</b>",
    "word " * 10_000,
    "ab" * 10_000,
]


def letters(text: str) -> str:
    """One letter a byte, in the order of the bytes, for a library without bytes."""
    return "".join(chr(0x4E00 + byte) for byte in text.encode())


def library(lines: list[str], n_merges: int) -> tuple[Tokenizer, list[tuple]]:
    """The library trained in the same way, and its merges as pairs of ids."""
    rule = " ?[^ \n]+|[ \n]".replace(" ", letters(" ")).replace("\n", letters("\n"))
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Split(Regex(rule), "isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=FIRST_MERGE + n_merges,
        special_tokens=list(SPECIALS),
        initial_alphabet=[chr(0x4E00 + byte) for byte in range(256)],
        show_progress=False,
    )
    pieces = (piece for line in lines for piece in line.split("<unk>"))
    theirs.train_from_iterator(map(letters, pieces), trainer)
    model = json.loads(theirs.to_str())["model"]
    ids = model["vocab"]
    return theirs, [(ids[left], ids[right]) for left, right in model["merges"]]


@pytest.fixture(scope="module")
def small() -> BPETokenizer:
    return BPETokenizer.train(TEXT.splitlines(), 60)


@pytest.fixture(scope="module")
def trained(wikitext) -> tuple[BPETokenizer, float]:
    """8,000 merges of WikiText-2, and the seconds that it took to learn them."""
    start = time.process_time()
    tokenizer = BPETokenizer.train(wikitext.train, 8_000)
    return tokenizer, time.process_time() - start


@pytest.mark.parametrize("seed", range(20))
def test_merges_and_ids_equal_the_library_on_random_text(seed):
    draw = random.Random(seed)
    lines = ["".join(draw.choices("aab  bcé", k=20)) for _ in range(20)]
    ours = BPETokenizer.train(lines, 40)
    theirs, merges = library(lines, 40)
    assert ours.merges == merges
    for line in lines:
        assert ours.encode(line[::-1]) == theirs.encode(letters(line[::-1])).ids


def test_merges_and_ids_equal_the_library_on_wikitext(wikitext, trained):
    ours, _ = trained
    theirs, merges = library(wikitext.train, 8_000)
    assert ours.merges == merges
    for line in wikitext.validation:
        for piece in line.split("<unk>"):
            assert ours.encode(piece) == theirs.encode(letters(piece)).ids


def test_wikitext_comes_back(wikitext, trained):
    text = "\n".join(wikitext.validation)
    ids = trained[0].encode(text)
    assert trained[0].decode(ids) == text
    assert ids.count(UNK) == text.count("<unk>")


def test_learning_and_encoding_wikitext_take_seconds(wikitext, trained):
    tokenizer, seconds = trained
    assert seconds < 30
    start = time.process_time()
    for line in wikitext.train:
        tokenizer.encode(line)
    assert time.process_time() - start < 15


def test_merges_by_hand():
    # ab occurs 4 times; then ab+c and ab+d twice each: the smaller pair goes first.
    ours = BPETokenizer.train(["abc", "abc", "abd", "abd"], 3)
    a, b, c, d = (FIRST_BYTE + byte for byte in b"abcd")
    ab = FIRST_MERGE
    assert ours.merges == [(a, b), (ab, c), (ab, d)]
    assert ours.encode("abcab") == [ab + 1, ab]
    assert len(ours) == 5 + 256 + 3


def test_a_text_gives_no_more_merges_than_it_has():
    assert BPETokenizer.train(["ab"], 10).merges == [(FIRST_BYTE + 97, FIRST_BYTE + 98)]
    assert BPETokenizer.train([], 10).merges == []


@pytest.mark.parametrize("text", [*UNKIND, TEXT], ids=lambda text: ascii(text[:12]))
def test_any_text_comes_back(small, text):
    assert "".join(chunks(text)) == text
    ids = small.encode(text)
    assert small.decode(ids) == text
    assert ids.count(UNK) == text.count("<unk>")
    assert not {0, 2, 3, 4} & set(ids)


def test_words_are_joined_by_spaces(small):
    assert small.encode(["the", "cat"]) == small.encode("the cat")


def test_ids_that_are_no_text_are_shown_all_the_same(small):
    assert small.decode([FIRST_BYTE + 0xFF, FIRST_BYTE + 97]) == "�a"
    assert small.decode([0, UNK, 4]) == "[PAD]<unk>[MASK]"
    with pytest.raises(ValueError, match="no id 999999"):
        small.decode([999_999])


def test_saved_merges_come_back(small, tmp_path):
    for name in ("a.json", "b.json"):
        small.save(tmp_path / name)
    again = BPETokenizer.load(tmp_path / "a.json")
    assert again.merges == small.merges and again.encode(TEXT) == small.encode(TEXT)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"merges": [[5,',
        b'{"words": []}',
        b'{"merges": 7}',
        b'{"merges": [[5, 6, 7]]}',
        b'{"merges": [["a", "b"]]}',
        b'{"merges": [[5.0, 6.5]]}',
        b'{"merges": [[5, 261]]}',
        b'{"merges": [[1, 6]]}',
        b'{"merges": [[-1, 6]]}',
        None,
    ],
)
def test_a_damaged_or_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "merges.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"merges\.json.*Save it again"):
        BPETokenizer.load(path)
