"""Exercises that grade themselves: `grade("2.1", answer)` in the cell below an answer.

Each module holds the graders of one notebook. A grader takes the answer and returns
what is wrong with it, in a sentence that helps without giving the solution away, or
None if it is right. It never trusts an answer: whatever the answer raises is told.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import FunctionType
from typing import Any

MODULES = {
    "1": "tokenizer",
    "2": "layers",
    "3": "model",
    "4": "training",
    "5": "attention",
    "6": "lessons",
    "7": "engineering",
    "8": "bugs",
    "9": "real_bert",
}
GRADERS: dict[str, Callable[[Any], str | None]] = {}


def exercise(number: str):
    """Decorator of the grader of exercise `number`, such as "2.1"."""
    return lambda grader: GRADERS.setdefault(number, grader)


class Unanswered(BaseException):
    """The answer is still the `...` that stood in the cell.

    No Exception, so that a grader which tells a reader's errors lets it pass.
    """


def watched_exercise_answer(answer):
    """The answer, or one that raises Unanswered if it gives `...` when it is called."""
    if answer is ...:
        raise Unanswered
    if not isinstance(answer, FunctionType):
        return answer

    @wraps(answer)
    def call(*arguments, **options):
        if (result := answer(*arguments, **options)) is ...:
            raise Unanswered
        return result

    return call


def exercise_complaint(number: str, answer) -> str | None:
    """What is wrong with an answer; None if it is right.

    KeyError if there is no such exercise, Unanswered if there is no answer.
    """
    import_module(f"notebooks.exercises.{MODULES[number.split('.')[0]]}")
    grader = GRADERS[number]
    try:
        return grader(watched_exercise_answer(answer))
    except Exception as error:  # of the reader's own code
        return f"your answer raised {type(error).__name__}: {error}"


def grade(number: str, answer) -> None:
    """Prints whether an answer is right, and if not, what to look at."""
    try:
        wrong = exercise_complaint(number, answer)
    except Unanswered:
        print(f"○ Exercise {number} is open. Replace the ... in the cell above.")
    else:
        mark, rest = ("✗", f": {wrong}") if wrong else ("✓", " is solved.")
        print(f"{mark} Exercise {number}{rest}")
