"""Rows and blocks: every token once, in order, and only the padding that is due."""

import pytest
import torch

from helpers.data import (
    bucket,
    cut,
    encode_lines,
    join,
    lone_sentences,
    pack,
    pad,
    rows,
    wasted_share,
)
from helpers.tokenizer import CLS, PAD, SEP, UNK, WordTokenizer

# Lines of 1 to 40 tokens, all different: a lost or doubled token shows.
SIZES = [1, 40, 3, 14, 15, 16, 28, 2, 7]
LINES = [[100 * n + i for i in range(size)] for n, size in enumerate(SIZES, 1)]
STREAM = [token for line in LINES for token in (*line, SEP)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def bare(row):
    """A row without its special tokens."""
    return [token for token in row if token not in (CLS, SEP, PAD)]


def test_encode_lines_keeps_the_words_apart_as_they_are():
    tokenizer = WordTokenizer.train(["a b . a @-@ b"], 20)
    lines = ["a @-@ c .", "b"]
    expected = [
        [tokenizer.ids[w] if w != "c" else UNK for w in x.split()] for x in lines
    ]
    assert encode_lines(tokenizer, lines) == expected


@pytest.mark.parametrize("length", [2, 5, 16, 64])
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_packing_loses_no_token(length, offset):
    blocks = pack(LINES, length, offset)
    assert blocks.shape[1] == length
    assert (blocks[:, 0] == CLS).all()
    text = blocks[:, 1:].flatten().tolist()
    assert text[: len(STREAM) - offset] == STREAM[offset:]
    rest = text[len(STREAM) - offset :]
    assert rest == [PAD] * len(rest)
    assert len(rest) < length - 1
    assert not (blocks[:-1] == PAD).any()


def test_join_and_cut_are_the_two_halves_of_pack():
    assert join(LINES).tolist() == STREAM
    assert torch.equal(cut(join(LINES), 16, 3), pack(LINES, 16, 3))


@pytest.mark.parametrize("length", [3, 16, 17, 64])
def test_rows_hold_one_line_or_a_part_of_one(length):
    made = rows(LINES, length)
    assert all(row[0] == CLS and row[-1] == SEP for row in made)
    assert all(3 <= len(row) <= length for row in made)
    assert [token for row in made for token in bare(row)] == sum(LINES, [])
    assert all(len({token // 100 for token in bare(row)}) == 1 for row in made)
    assert len(made) == sum(-(-size // (length - 2)) for size in SIZES)


def test_pad_fills_rows_at_the_end():
    made, padded = rows(LINES, 16), pad(LINES, 16)
    assert padded.shape == (len(made), 16)
    for row, filled in zip(made, padded.tolist(), strict=True):
        assert filled == row + [PAD] * (16 - len(row))


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_buckets_keep_all_rows_and_pad_to_the_longest_only(batch_size):
    batches = bucket(LINES, 16, batch_size, seeded())
    kept = [bare(row) for batch in batches for row in batch.tolist()]
    assert sorted(kept) == sorted(bare(row) for row in rows(LINES, 16))
    assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)
    for batch in batches:
        assert (batch[:, 0] == CLS).all()
        assert (batch != PAD).all(dim=1).any()  # its longest row


def test_buckets_hold_rows_of_similar_length_in_an_order_drawn_anew():
    lines = [[5 + 37 * i % 90] * (1 + i % 14) for i in range(140)]
    batches = bucket(lines, 16, 10, seeded(1))
    assert wasted_share(batches) == 0
    widths = [batch.shape[1] for batch in batches]
    assert widths != sorted(widths)
    assert widths != [batch.shape[1] for batch in bucket(lines, 16, 10, seeded(2))]
    assert widths == [batch.shape[1] for batch in bucket(lines, 16, 10, seeded(1))]


def test_wasted_share_counts_padding():
    assert wasted_share(torch.tensor([[CLS, 9, SEP, PAD]])) == 0.25
    assert (
        wasted_share([torch.tensor([[CLS, SEP]]), torch.tensor([[CLS, PAD]])]) == 0.25
    )
    tokens = sum(SIZES) + 2 * len(rows(LINES, 64))
    assert wasted_share(pad(LINES, 64)) == 1 - tokens / (64 * len(LINES))
    many = LINES * 20
    ways = pad(many, 64), bucket(many, 64, 8, seeded()), pack(many, 64)
    shares = [wasted_share(made) for made in ways]
    assert shares[0] > 2 * shares[1] > 4 * shares[2]


def test_lone_sentences_end_with_a_mark_and_have_the_length_asked_for():
    lines = [
        "= Title with more than five words . =",
        "One two three four . Too short . What is this about ? No end here it goes",
        "a " * 40 + ".",
        "b " * 39 + "!",
    ]
    assert lone_sentences(lines) == [
        "One two three four .",
        "What is this about ?",
        "b " * 39 + "!",
    ]
