"""Exercises: each solution passes, plausible wrong answers do not, and each is told.

`tests/answers/NN.py` holds, for each exercise of a notebook, the wrong answers; the
solution is read from the notebook itself, where it is folded.
"""

import importlib.util
import math
import re

import nbformat
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import ROOT
from notebooks.exercises import MODULES, Unanswered, complaint, grade
from notebooks.source import notebooks

TAUGHT = "tokenizer bpe layers model masking data train evaluate".split()
SOLUTION = re.compile(
    r"<details><summary>Solution (\d+\.\d+)</summary>.*?```python\n(.*?)```", re.S
)
GRADED = re.compile(r"^grade\(\"(\d+\.\d+)\", (\w+)\)$", re.M)


def read(path):
    return nbformat.read(path, as_version=4).cells


def namespace() -> dict:
    """What a solution may use beside its own imports."""
    names = {"math": math, "torch": torch, "nn": nn, "F": F, "Tensor": Tensor}
    for module in TAUGHT:
        names |= vars(importlib.import_module(f"helpers.{module}"))
    return names


def wrong_answers(path) -> dict[str, list]:
    spec = importlib.util.spec_from_file_location("answers", path)
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    return module.WRONG


CELLS = {path.name[:2]: read(path) for path in notebooks()}
GRADES = {
    number: name
    for cells in CELLS.values()
    for cell in cells
    if cell.cell_type == "code"
    for number, name in GRADED.findall(cell.source)
}
SOLUTIONS = {
    number: code
    for cells in CELLS.values()
    for cell in cells
    if cell.cell_type == "markdown"
    for number, code in SOLUTION.findall(cell.source)
}
WRONG = {
    number: answers
    for path in sorted((ROOT / "tests/answers").glob("[0-9]*.py"))
    for number, answers in wrong_answers(path).items()
}


def test_every_exercise_has_a_solution_and_two_wrong_answers():
    assert GRADES.keys() == SOLUTIONS.keys() == WRONG.keys()
    assert all(len(answers) >= 2 for answers in WRONG.values())


@pytest.mark.parametrize("book", CELLS)
def test_each_notebook_has_exercises(book):
    assert 2 <= len([n for n in GRADES if n.startswith(f"{int(book)}.")]) <= 4


@pytest.mark.parametrize("number", SOLUTIONS)
def test_the_solution_passes(number):
    exec(SOLUTIONS[number], names := namespace())
    assert complaint(number, names[GRADES[number]]) is None


@pytest.mark.parametrize(
    "number, place",
    [(n, i) for n, answers in WRONG.items() for i in range(len(answers))],
)
def test_a_wrong_answer_is_refused(number, place):
    assert complaint(number, WRONG[number][place])


@pytest.mark.parametrize("number", WRONG)
def test_an_open_exercise_is_no_mistake(number, capsys):
    grade(number, ...)
    assert capsys.readouterr().out.startswith(f"○ Exercise {number} is open")
    if callable(WRONG[number][0]):
        with pytest.raises(Unanswered):
            complaint(number, lambda *arguments: ...)


def test_there_is_a_module_of_graders_for_each_notebook():
    books = {str(int(book)) for book in CELLS}
    modules = {f"{ROOT}/notebooks/exercises/{name}.py" for name in MODULES.values()}
    present = {*map(str, (ROOT / "notebooks/exercises").glob("[!_]*.py"))}
    assert books <= MODULES.keys() and present <= modules
