"""Byte-pair encoding against the `tokenizers` library, and against unkind input."""

import json
import random

import pytest
from test_tokenizer import UNKIND
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from helpers.bpe import FIRST_BYTE, FIRST_MERGE, BPETokenizer, split_chunks
from helpers.tokenizer import SPECIALS, UNK

TEXT = """the cat sat on the mat . the cats sat on the mats , and the dog
ran to the cat .  naïve café , naïve cafés ; 東京 と 京都 🙂 <unk> aaaa aaa aa
banana bandana <unk>s the<unk>the mississippi"""
SMALL = BPETokenizer.train(TEXT.splitlines(), 60)


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


@pytest.mark.parametrize("seed", range(6))
def test_merges_and_ids_equal_the_library_on_random_text(seed):
    draw = random.Random(seed)
    lines = ["".join(draw.choices("aab  bcé", k=20)) for _ in range(20)]
    ours = BPETokenizer.train(lines, 40)
    theirs, merges = library(lines, 40)
    assert ours.merges == merges
    for line in lines:
        assert ours.encode(line[::-1]) == theirs.encode(letters(line[::-1])).ids


def test_a_list_of_words_is_joined_and_no_text_has_no_merges():
    assert SMALL.encode(["the", "cats"]) == SMALL.encode("the cats")
    assert len(SMALL) == FIRST_MERGE + len(SMALL.merges) == 5 + 256 + 60
    assert BPETokenizer.train([], 10).merges == []


TEXTS = [*UNKIND, "a  b\n\n c ", "\ud800 \udfff\ud83d\ude00", "<unk><unk> <UNK> <unk"]


@pytest.mark.parametrize("text", [*TEXTS, TEXT], ids=lambda text: ascii(text[:12]))
def test_any_text_comes_back(text):
    assert "".join(split_chunks(text)) == text
    ids = SMALL.encode(text)
    assert SMALL.decode(ids) == text
    assert ids.count(UNK) == text.count("<unk>")
    assert not {0, 2, 3, 4} & set(ids)


def test_ids_that_are_no_text_are_shown_all_the_same():
    assert SMALL.decode([FIRST_BYTE + 0xFF, FIRST_BYTE + 97]) == "�a"
    assert SMALL.decode([0, UNK, 4]) == "[PAD]<unk>[MASK]"
    with pytest.raises(ValueError, match="no id 999999"):
        SMALL.decode([999_999])
