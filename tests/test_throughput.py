"""The studies of speed: identical work on both sides, and what counts it."""

import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from helpers.masking import IGNORE
from helpers.tokenizer import CLS, PAD, UNK
from studies.speed.peers import (
    OURS,
    PEERS,
    build_pair,
    compare,
    copy_weights,
    our_loss,
    pairs,
)
from studies.speed.scaling import LENGTHS, matmuls
from studies.speed.throughput import (
    contestant,
    make_batch,
    spread,
    table,
    take_turns,
    training_step,
)

# All sizes differ, so that no swap of two of them can hide.
SIZES = dict(vocab_size=50, max_length=12, n_layers=2, d_model=16, n_heads=4, d_ff=40)


def build(name):
    """A peer, ours and theirs, and a batch."""
    if name == "x-transformers":
        pytest.importorskip("x_transformers")
    ours, theirs = build_pair(PEERS[name], dropout=0.0, **SIZES)
    return ours, theirs, PEERS[name], make_batch(4, ours.config)


@pytest.mark.parametrize("name", PEERS)
def test_loss_and_all_gradients_equal_those_of_the_other_library(name):
    found = compare(*build(name))
    assert found["loss_gap"] < 1e-12 and found["gradient_gap"] < 1e-12
    assert found["gradients"] > 20
    assert found["identical"] and found["differs"] == PEERS[name].differs


@pytest.mark.parametrize("name", PEERS)
def test_one_changed_weight_is_seen(name):
    ours, theirs, peer, batch = build(name)
    weights = {our_name: other for our_name, _, other in pairs(ours, theirs, peer)}
    weights["blocks.1.attention.value.weight"][3, 5] += 1e-4
    with pytest.raises(AssertionError):
        compare(ours, theirs, peer, batch)


@pytest.mark.parametrize("name", PEERS)
def test_a_weight_that_ours_lacks_is_seen(name):
    ours, theirs, peer, _ = build(name)
    theirs.extra = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(AssertionError, match="not all was copied"):
        copy_weights(ours, theirs, peer)


def test_the_text_is_the_training_text_in_kind():
    config = contestant("ours as BERT", "cpu", **SIZES)[0].config
    batch = make_batch(500, config)
    unknown = (batch.inputs_BT[:, 1:] == UNK).float().mean().item()
    assert 0.2 < unknown < 0.32
    assert (batch.inputs_BT[:, 0] == CLS).all() and (batch.inputs_BT != PAD).all()
    assert batch.count == (batch.labels_BT != IGNORE).sum()
    asked = batch.labels_BT.gather(1, batch.at_BM)
    assert torch.equal(asked, batch.labels_BM)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [*OURS, *PEERS])
def test_a_step_changes_every_weight(name, precision):
    if name == "x-transformers":
        pytest.importorskip("x_transformers")
    model, loss_of = contestant(name, "cpu", dropout=0.1, **SIZES)
    weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
    before = {n: p.detach().clone() for n, p in weights.items()}
    config = contestant("ours as BERT", "cpu", **SIZES)[0].config
    training_step(model, loss_of, make_batch(4, config), precision)()
    assert [n for n, p in weights.items() if torch.equal(p, before[n])] == []


def test_contestants_take_turns():
    log = []
    steps = {name: lambda name=name: log.append(name) for name in "abc"}
    found = take_turns(steps, rounds=5, limit=60, device="cpu")
    assert "".join(log) == "abc" * 7  # two rounds to warm up
    assert {name: len(times) for name, times in found.items()} == dict.fromkeys(
        "abc", 5
    )
    assert len(take_turns(steps, rounds=5, limit=0, device="cpu")["a"]) == 3


def test_quartiles():
    assert spread([4, 1, 3, 2, 5]) == [2, 3, 4]
    assert spread([7.0]) == [7, 7, 7]


def test_the_matmuls_are_those_that_pytorch_counts():
    model, _ = contestant("ours as BERT", "cpu", **SIZES)
    batch = make_batch(4, model.config)
    with FlopCounterMode(display=False) as counter:
        our_loss(model, batch).backward()
    table = matmuls(model.config, 4, batch.at_BM.shape[1])
    sizes = "times", "batch", "rows", "inner", "columns"
    flop = sum(6 * torch.tensor([shape[s] for s in sizes]).prod() for shape in table)
    assert counter.get_total_flops() == flop
    assert LENGTHS[-1] == 2_048


def row(name, ms, **cell):
    """A line of a small record."""
    beside = PEERS[name].beside if name in PEERS else name
    return cell | {"contestant": name, "beside": beside, "ms": ms, "ratio": ms / 100}


def test_the_table_is_printed_from_a_record():
    names = [*OURS, *PEERS]
    times = [100.0] * 3 + [150.0, 140.0, 130.0, 120.0]
    cells = itertools.product([4096, 16384], [False, True])
    record = {"steps": [], "memory": [], "equality": {}}
    for (tokens, compiled), (name, ms) in itertools.product(
        cells, list(zip(names, times, strict=True))
    ):
        cell = {"tokens": tokens, "precision": "fp32", "dropout": 0.1}
        record["steps"].append(row(name, ms, compiled=compiled, **cell))
    for name, ms in zip(names, times, strict=True):
        entry = {"contestant": name, "tokens": 16384, "precision": "fp32"}
        record["memory"].append(entry | {"dropout": 0.1, "peak_mb": 2 * ms})
    record["equality"]["x-transformers"] = {"differs": "theirs: a scale"}
    record["equality"]["nn.TransformerEncoder"] = {"differs": ""}
    lines = table(record).splitlines()
    columns = "precision | dropout | tokens a step | ours (ms) | peer (ms) | ratio"
    assert lines[0] == f"| peer | {columns} |"
    shown = "fp32, compiled | 0.1 | 4,096 | 100.0 | 150.0 | 1.50"
    assert lines[3] == f"| BertForMaskedLM, eager | {shown} |"
    # Each peer in each cell, then each peer's memory, each with two lines of head.
    assert [line.count("|") for line in lines[:-5]] == [8] * 18 + [0] + [8] * 6
    assert (
        lines[24] == "| x-transformers | fp32 | 0.1 | 16,384 | 200.0 | 240.0 | 1.20 |"
    )
    assert lines[-2:] == [
        "- x-transformers: theirs: a scale",
        "- nn.TransformerEncoder: nothing",
    ]
