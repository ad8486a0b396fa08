"""The grader: our own code passes, and each known fault is caught and named."""

import dataclasses
from unittest.mock import Mock

import pytest
from faults import FAULTS, RIGHT

from notebooks.grader import CHECKS, PARTS, Adapters, grade_model, grader_results
from notebooks.grader.ours import OURS


@pytest.mark.parametrize("right", [OURS, RIGHT], ids=["ours", "plain"])
def test_right_code_passes(right):
    outcomes = grader_results(right)
    assert [f"{r.check.title}: {r.seen}" for r in outcomes if not r.passed] == []
    assert len(outcomes) == len(CHECKS) >= 30


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_caught_and_named(what):
    part, code, caught_by = FAULTS[what]
    results = grader_results(Adapters(**{part: code}))
    failed = {result.check.look.__name__: result for result in results}
    failed = {name: result for name, result in failed.items() if not result.passed}
    assert caught_by in failed
    assert failed[caught_by].check.remedy


def test_every_check_catches_something():
    """A check that no fault can fail would be worth nothing."""
    assert {r.look.__name__ for r in CHECKS} == {c for _, _, c in FAULTS.values()}


@pytest.mark.parametrize("part", PARTS)
def test_code_that_raises_is_told_once(part, capsys):
    grade_model(Adapters(**{part: Mock(side_effect=RuntimeError("not finished"))}))
    printed = capsys.readouterr().out
    assert printed.count("RuntimeError: not finished") == 1
    assert printed.startswith(f"{part}: 0 of ")


def test_what_is_not_given_is_named(capsys):
    grade_model(dataclasses.replace(OURS, model=None, train=None))
    printed = capsys.readouterr().out
    assert "Not given, and not tested: model, train." in printed
    assert "✗" not in printed and printed.count("checks pass") == 4


def test_something_else_than_adapters_is_refused():
    with pytest.raises(TypeError, match="no Adapters"):
        grader_results({"mask": print})
