"""Several processes make one training: their gradients, losses and weights agree."""

import socket

import pytest
import ranks
import torch
from program import python, started

from helpers import ROOT

CPU = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
OTHERS = [(size, rank) for size in (2, 4) for rank in range(size)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each process of 1, of 2 and of 4 has measured, by (number, rank)."""
    folder = tmp_path_factory.mktemp("ranks")
    done = python(ranks.__file__, folder, **CPU)
    assert done.returncode == 0, done.stderr
    return {at: torch.load(folder / "{}-{}.pt".format(*at)) for at in [(1, 0), *OTHERS]}


def assert_same_curve(got, want, rtol, first=0):
    steps = range(first, ranks.LAST)
    losses = [[curve["losses"][step] for step in steps] for curve in (got, want)]
    assert min(got["losses"]) == first and losses[0] == pytest.approx(losses[1], rtol)
    last = len(got["validation"])
    assert got["validation"] == pytest.approx(want["validation"][-last:], rtol)


@pytest.mark.parametrize("place", OTHERS)
def test_gradients_are_those_of_one_process(found, place):
    """Though processes have unequal numbers of words, and one of them has none."""
    got, want = (found[key]["gradients"] for key in (place, (1, 0)))
    assert got.keys() == want.keys()
    for name, gradient in want.items():
        assert (got[name] - gradient).abs().max() / gradient.abs().max() < 1e-10, name


@pytest.mark.parametrize("size", [2, 4])
# Where Muon multiplies in bfloat16, that makes more of a difference in the last bit.
@pytest.mark.parametrize(("optimizer", "rtol"), [("adamw", 1e-5), ("muon", 1e-4)])
def test_the_curve_is_that_of_one_process_and_all_have_its_weights(
    found, size, optimizer, rtol
):
    want, digests = found[1, 0][optimizer], set()
    assert want["validation"][-1] < want["validation"][0] - 0.2
    for rank in range(size):
        assert_same_curve(found[size, rank][optimizer], want, rtol)
        digests.add(found[size, rank][optimizer]["digest"])
        assert found[size, rank]["nothing"] == (0.0, 1)  # a batch without a word
    assert len(digests) == 1  # bit by bit


@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes_go_on_where_one_stopped(found, rank):
    got, want = found[2, rank]["change"], found[1, 0]["adamw"]
    assert_same_curve(got, want, 1e-5, ranks.CHANGE - 1)
    said = "5 rows do not divide among 2 processes; choose a batch_size that is a "
    assert found[2, rank]["refusal"] == said + "multiple of 2."


def test_a_killed_process_is_started_again_and_nothing_is_lost(found, tmp_path):
    options = ["--standalone", "--nproc_per_node=2", "--max-restarts=1"]
    command = ["-m", "torch.distributed.run", *options, ranks.__file__, tmp_path]
    done = python(*command, **CPU)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "died").exists()
    want = found[2, 0]["adamw"]
    for rank in (0, 1):
        got = torch.load(tmp_path / f"rank{rank}.pt")
        assert 0 < min(got["losses"]) <= ranks.DEATH  # it went on from a checkpoint
        assert got["validation"] == want["validation"][-len(got["validation"]) :]
        assert got["digest"] == want["digest"]


BROKEN = """
import sys
from pathlib import Path

from helpers.corpus import Corpus
from studies import train
from studies.lab import experiment

LINES = ["one two three four five six seven eight nine ten"] * 40
train.ROOT = Path(sys.argv[1])
experiment.training_corpus = lambda: Corpus("few words", LINES, LINES, [])
train.main(sys.argv[2:])
"""


def ended(folder) -> list[tuple[str, int]]:
    """Standard error and status of two processes of one training."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    options = "--name=x --n-layers=1 --d-model=16 --epochs=2 --batch-size=4".split()
    command = ["-c", BROKEN, folder, *options]
    with (
        started(*command, **CPU, **meet, RANK="0") as first,
        started(*command, **CPU, **meet, RANK="1") as second,
    ):
        return [(p.communicate(timeout=240)[1], p.returncode) for p in (first, second)]


@pytest.mark.parametrize("told", ["No state in", "Is a directory"])
def test_an_error_is_a_sentence_in_each_process(tmp_path, told):
    """Though the first process alone meets it, at the start or at its work."""
    folder = tmp_path / "runs" / "x"
    alone = told == "Is a directory"
    (folder / "state.pt.part" if alone else folder).mkdir(parents=True)
    if not alone:
        (folder / "state.pt").write_bytes(b"damaged")
    both = ended(tmp_path)
    for said, code in both:
        lines = [line for line in said.splitlines() if line.startswith("python -m")]
        assert code == 1 and len(lines) == 1 and "Traceback" not in said
    assert told in both[0][0]
    assert ("Another process has ended" if alone else told) in both[1][0]
