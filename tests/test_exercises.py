"""Exercises: each solution passes, plausible wrong answers do not, and each is told.

The solution is read from the notebook, where it is folded.
"""

import importlib
import math
import re

import pytest
import torch
from answers import TABLE
from edits import changed, entries
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import ROOT
from notebooks.exercises import MODULES, Unanswered, exercise_complaint, grade
from notebooks.notebook_files import notebook_paths, read_notebook

TAUGHT = "tokenizer bpe layers model masking data train evaluate".split()
SOLUTION = re.compile(
    r"<details><summary>Solution (\d+\.\d+)</summary>.*?```python\n(.*?)```", re.S
)
GRADED = re.compile(r"^grade\(\"(\d+\.\d+)\", (\w+)\)$", re.M)
CELLS = [cell.source for path in notebook_paths() for cell in read_notebook(path).cells]
GRADES = dict(pair for cell in CELLS for pair in GRADED.findall(cell))
SOLUTIONS = dict(pair for cell in CELLS for pair in SOLUTION.findall(cell))
WRONG = [(*change.split(" ", 1), advice) for change, advice in entries(TABLE)]


def answer(number: str, change: str | None = None):
    """The solution of an exercise, or what a change makes of it."""
    names = {"math": math, "torch": torch, "nn": nn, "F": F, "Tensor": Tensor}
    for module in TAUGHT:
        names |= vars(importlib.import_module(f"helpers.{module}"))
    code = SOLUTIONS[number]
    exec(changed(code, change) if change else code, names)
    return names[GRADES[number]]


def test_every_exercise_has_a_solution_and_two_wrong_answers():
    wrong = [number for number, _, _ in WRONG]
    assert GRADES.keys() == SOLUTIONS.keys() == {*wrong}
    assert min(map(wrong.count, wrong)) >= 2


def test_each_notebook_has_exercises_and_a_module_of_graders():
    books = [str(int(path.name[:2])) for path in notebook_paths()]
    assert all(2 <= sum(n.startswith(f"{b}.") for n in GRADES) <= 4 for b in books)
    modules = [path.stem for path in (ROOT / "notebooks/exercises").glob("[!_]*.py")]
    assert MODULES.keys() == {*books} and sorted(MODULES.values()) == sorted(modules)


@pytest.mark.parametrize("number", SOLUTIONS)
def test_the_solution_passes(number):
    assert exercise_complaint(number, answer(number)) is None


@pytest.mark.parametrize("number, change, advice", WRONG)
def test_a_wrong_answer_is_told_what_helps(number, change, advice):
    assert advice in exercise_complaint(number, answer(number, change))


def test_what_no_grader_can_look_at_is_told():
    wrong = {
        "1.2": (lambda _, pieces: any(iter(lambda: "x" in pieces, 1)), "your loop"),
        "1.3": (lambda chances: print(), "your function returns nothing; does it end"),
        "2.2": (lambda *sizes: [0.7], "your answer gives [0.7], which is not what"),
        "3.1": (lambda *sizes: 1 / 0, "your answer raised ZeroDivisionError: division"),
        "4.1": (lambda *given: (math.nan,) * 3, "after a first gradient of 0.5, m is"),
        "8.1": (lambda *masked: {}[0], "your answer raised KeyError: 0"),
    }
    for number, (answered, told) in wrong.items():
        assert exercise_complaint(number, answered).startswith(told)


def test_an_answer_keeps_nothing_of_what_it_is_given():
    """What it does to a list must not reach the next one."""
    assert exercise_complaint("1.1", lambda lines, size: len(lines.pop()))
    assert exercise_complaint("1.1", answer("1.1")) is None


@pytest.mark.parametrize("number", SOLUTIONS)
def test_an_open_exercise_is_no_mistake(number, capsys):
    grade(number, ...)
    assert capsys.readouterr().out.startswith(f"○ Exercise {number} is open")
    if callable(answer(number)):
        with pytest.raises(Unanswered):
            exercise_complaint(number, lambda *arguments: ...)
