"""The studies of speed: identical work on both sides, taken in turn, and its table."""

import itertools

import pytest
import torch

from helpers.masking import IGNORE
from helpers.model import ModelConfig
from helpers.record import read_record
from helpers.tokenizer import CLS, PAD, UNK
from studies.lab.machine import memory_in_fresh_process, peak_memory
from studies.lab.runs import RECORDS
from studies.lab.stats import quartiles
from studies.lab.timing import time_in_turns
from studies.speed import steps, throughput
from studies.speed.peers import OURS, PEERS
from studies.speed.scaling import measure_scaling

# All sizes differ, so that no swap of two of them can hide.
SIZES = dict(vocab_size=50, max_length=12, n_layers=2, d_model=16, n_heads=4, d_ff=40)
CONFIG = ModelConfig(**SIZES)


@pytest.mark.parametrize("name", PEERS)
def test_loss_and_all_gradients_equal_those_of_the_other_library(name):
    peer, batch = PEERS[name], steps.speed_step_batch(4, CONFIG)
    ours, theirs = peer.build_pair(dropout=0.0, **SIZES)
    result = steps.compare_steps(ours, theirs, peer, batch)
    assert result["loss_gap"] < 1e-12 and result["gradient_gap"] < 1e-12
    assert result["gradients"] == len([*ours.parameters()])
    assert result["identical"] and result["differs"] == peer.differs
    weights = {our_name: other for our_name, _, other in peer.pairs(ours, theirs)}
    weights["blocks.1.attention.value.weight"][3, 5] += 1e-4
    with pytest.raises(AssertionError):
        steps.compare_steps(ours, theirs, peer, batch)
    theirs.extra = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(AssertionError, match="not all copied"):
        peer.copy_weights(ours, theirs)


def test_the_text_is_the_training_text_in_kind():
    batch = steps.speed_step_batch(500, CONFIG)
    assert 0.2 < (batch.inputs_BT[:, 1:] == UNK).float().mean() < 0.32
    assert (batch.inputs_BT[:, 0] == CLS).all() and (batch.inputs_BT != PAD).all()
    assert batch.count == (batch.labels_BT != IGNORE).sum()
    assert torch.equal(batch.labels_BT.gather(1, batch.at_BM), batch.labels_BM)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [*OURS, *PEERS])
def test_a_step_changes_every_weight(name, precision):
    model, loss_of = steps.step_contestant(name, dropout=0.1, **SIZES)
    weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
    before = {n: p.detach().clone() for n, p in weights.items()}
    steps.make_step(steps.speed_step_batch(4, CONFIG), model, loss_of, precision)()
    assert [n for n, p in weights.items() if torch.equal(p, before[n])] == []


@pytest.mark.parametrize("limit, rounds", [(60, 5), (0, 3)])
def test_contestants_take_turns(limit, rounds):
    log = []
    turns = {name: lambda name=name: log.append(name) or len(log) for name in "abc"}
    seconds = time_in_turns(turns, rounds=5, limit=limit)
    assert "".join(log) == "abc" * (2 + rounds)  # two rounds to warm up
    assert seconds["b"] == [8 + 3 * i for i in range(rounds)]


def test_quartiles():
    assert quartiles([4, 1, 3, 2, 5]) == [2, 3, 4]


def fill(megabytes: int) -> float | None:
    """The peak of filling so much memory and letting go of it."""
    return peak_memory(lambda: torch.ones(megabytes, 250_000).sum())


def test_the_peak_is_that_of_the_work():
    peak = memory_in_fresh_process(fill, 64)
    assert peak is None or 60 < peak < 90


def test_growth_is_measured_at_each_length_and_vocabulary():
    rows = measure_scaling(64, lengths=[16], vocabularies=[100])["growth"]
    told = [(row.get("max_length"), row.get("vocab_size")) for row in rows]
    assert told == [(16, None), (16, None), (None, 100)]
    assert [row["fused"] for row in rows][:2] == [False, True]
    assert all(0 < row["ms_quartiles"][0] <= row["ms"] for row in rows)


def test_a_race_is_run():
    cell = {"tokens": 24, "precision": "bf16", "dropout": 0.1}
    rows = throughput.throughput_rows(cell, 1, **SIZES)
    assert [row["contestant"] for row in rows] == [*OURS, *PEERS]
    assert rows[3]["ratio"] == pytest.approx(rows[3]["ms"] / rows[0]["ms"])


def test_the_figure_has_a_dot_for_each_ratio():
    shown = read_record(RECORDS / "throughput.json")
    cells = itertools.product(throughput.TOKENS, throughput.PRECISIONS)
    panels = throughput.throughput_figure(shown).axes
    lines = [line for axes in panels for line in axes.lines]
    dots = [line.get_xdata() for line in lines if line.get_marker() != "None"]
    for (tokens, precision), ratios in zip(cells, dots, strict=True):
        cell = {"tokens": tokens, "precision": precision, "dropout": 0.1}
        rows = [row for row in shown["steps"] if cell.items() <= row.items()]
        assert [*ratios] == [row["ratio"] for row in rows if row["contestant"] in PEERS]
