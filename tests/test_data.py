"""Rows, blocks and batches: every token once, in order, and only the padding due."""

import pytest
import torch

from helpers import data
from helpers.corpus import load_corpus
from helpers.seeds import seeded
from helpers.tokenizer import CLS, PAD, SEP, WordTokenizer

# Lines of 1 to 40 tokens, all different: a lost or doubled token shows.
SIZES = [1, 40, 3, 14, 15, 16, 28, 2, 7]
LINES = [[100 * n + i for i in range(size)] for n, size in enumerate(SIZES, 1)]
STREAM = [token for line in LINES for token in (*line, SEP)]


def bare(row):
    """A row without its special tokens."""
    return [token for token in row if token not in (CLS, SEP, PAD)]


@pytest.mark.parametrize("length", [2, 5, 16, 64])
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_packing_loses_no_token(length, offset):
    blocks = data.pack(LINES, length, offset)
    assert torch.equal(blocks, data.cut_rows(data.join_lines(LINES), length, offset))
    assert blocks.shape[1] == length
    assert (blocks[:, 0] == CLS).all()
    text = blocks[:, 1:].flatten().tolist()
    assert text[: len(STREAM) - offset] == STREAM[offset:]
    rest = text[len(STREAM) - offset :]
    assert rest == [PAD] * len(rest) and len(rest) < length - 1
    assert not (blocks[:-1] == PAD).any()


@pytest.mark.parametrize("length", [3, 16, 17, 64])
def test_rows_hold_one_line_or_a_part_of_one_and_are_filled_at_the_end(length):
    made = data.line_rows(LINES, length)
    assert all(row[0] == CLS and row[-1] == SEP for row in made)
    assert all(3 <= len(row) <= length for row in made)
    assert [token for row in made for token in bare(row)] == sum(LINES, [])
    assert all(len({token // 100 for token in bare(row)}) == 1 for row in made)
    assert len(made) == sum(-(-size // (length - 2)) for size in SIZES)
    filled = [row + [PAD] * (length - len(row)) for row in made]
    assert data.pad(LINES, length).tolist() == filled


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_buckets_keep_all_rows_and_pad_to_the_longest_only(batch_size):
    made = data.bucket(LINES, 16, batch_size, seeded(0))
    kept = [bare(row) for batch in made for row in batch.tolist()]
    assert sorted(kept) == sorted(bare(row) for row in data.line_rows(LINES, 16))
    assert sorted(map(len, made))[1:] == [batch_size] * (len(made) - 1)
    for batch in made:
        assert (batch[:, 0] == CLS).all()
        assert (batch != PAD).all(dim=1).any()  # its longest row


def test_buckets_hold_rows_of_similar_length_in_an_order_drawn_anew():
    lines = [[5 + 37 * i % 90] * (1 + i % 14) for i in range(140)]
    first, again, other = (data.bucket(lines, 16, 10, seeded(i)) for i in (1, 1, 2))
    padded = [*first, data.pad([[9]], 4)]
    assert data.wasted_share(first) == 0 < data.wasted_share(padded)
    widths = [batch.shape[1] for batch in first]
    assert widths == [batch.shape[1] for batch in again]
    assert widths != sorted(widths)
    assert widths != [batch.shape[1] for batch in other]


def test_batches_hold_one_pass_of_the_text_an_epoch():
    """Each token once an epoch, but for the few that do not fill a batch."""
    stream = torch.arange(10, 10 + 31 * 8 * 5 + 40)
    per_epoch = data.steps_per_epoch(stream, 32, 8)
    assert per_epoch == 5
    source, passes = data.batches(stream, 32, 8, seed=0), []
    for _ in range(3):
        made = torch.cat([next(source) for _ in range(per_epoch)])
        assert made.shape == (40, 32)
        assert (made[:, 0] == CLS).all()
        text = made[:, 1:][made[:, 1:] != PAD]
        assert len(text.unique()) == len(text) > len(stream) - 2 * 31 - 40
        whole = made[(made != PAD).all(1), 1:]
        assert (whole.diff(dim=1) == 1).all()  # neighbours stay neighbours
        passes.append(made)
    starts = [set(made[:, 1].tolist()) for made in passes]
    assert not starts[0] & starts[1]  # cut elsewhere
    assert passes[0][:, 1].tolist() != sorted(passes[0][:, 1].tolist())


def test_batches_follow_the_seed_and_the_first_may_be_short():
    stream = torch.arange(10, 10 + 31 * 8 * 5)
    one, other = (next(data.batches(stream, 32, 8, seed)) for seed in (0, 1))
    assert not torch.equal(one, other)
    few = torch.arange(10, 80)  # less than a batch
    short = next(data.batches(few, 32, 64, seed=0))
    assert short.shape[1] == 32 and 1 <= len(short) <= 3


def test_seeded_depends_on_its_key_alone():
    torch.manual_seed(5)
    first = torch.rand(3, generator=seeded(0, "mask", 7))
    torch.manual_seed(6)
    assert torch.equal(first, torch.rand(3, generator=seeded(0, "mask", 7)))
    for other in ((1, "mask", 7), (0, "order", 7), (0, "mask", 8)):
        assert not torch.equal(first, torch.rand(3, generator=seeded(*other)))


def test_prepared_data_is_the_corpus():
    corpus = load_corpus("toy")
    tokenizer = WordTokenizer.train(corpus.train, 50)  # so that some are [UNK]
    made = data.TrainingData.prepare(tokenizer, corpus, 32, sample=32)
    validation = made.validation_BT[:, 1:].flatten()
    for lines, ids in ((corpus.train, made.stream), (corpus.validation, validation)):
        words = [word for line in lines for word in (*line.split(), "[SEP]")]
        expected = [w if w in tokenizer.ids or w == "[SEP]" else "[UNK]" for w in words]
        assert [tokenizer.words[i] for i in ids[ids != PAD].tolist()] == expected
    assert made.sample_BT.shape == (32, 32)
