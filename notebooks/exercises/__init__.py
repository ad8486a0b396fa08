"""Exercises that grade themselves: `grade("2.1", answer)` in the cell below an answer.

Each module holds the graders of one notebook. A grader takes the answer and returns
what is wrong with it, in a sentence that helps without giving the solution away, or
None if it is right. It never trusts an answer: whatever the answer raises is told, and
what a grader cannot even look at.
"""

from collections.abc import Callable
from copy import copy
from functools import wraps
from importlib import import_module
from reprlib import Repr
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
SHORT = Repr()
SHORT.maxother = SHORT.maxstring = 60
GRADERS: dict[str, Callable[[Any], str | None]] = {}


def exercise(number: str):
    """Decorator of the grader of exercise `number`, such as "2.1"."""
    return lambda grader: GRADERS.setdefault(number, grader)


class Unanswered(BaseException):
    """The answer is still the `...` that stood in the cell.

    No Exception, so that a grader which tells a reader's errors lets it pass.
    """


class WrongAnswer(BaseException):
    """What a call of the answer shows to be wrong with it; no Exception either."""


class CountedPieces(set):
    """A vocabulary that stops an answer which looks its pieces up for ever."""

    looked_up = 0

    def __contains__(self, piece) -> bool:
        self.looked_up += 1
        if self.looked_up > 1_000:
            raise WrongAnswer(
                "your loop does not end. Does the rest of the word get shorter each "
                "time, and what if no piece fits?"
            )
        return super().__contains__(piece)


def watched_exercise_answer(answer, returned: list):
    """The answer, or one whose calls are watched; `returned` gets what they return.

    A call gets copies of lists and sets, so that it cannot spoil those of the grader.
    It raises Unanswered where the answer gives `...`, and WrongAnswer where it raises
    an error or gives nothing.
    """
    if answer is ...:
        raise Unanswered
    if not callable(answer):
        returned.append(answer)
        return answer

    @wraps(answer)
    def call(*arguments):
        own = [copy(one) if isinstance(one, list | set) else one for one in arguments]
        try:
            result = answer(*own)
        except Exception as error:
            said = f"your answer raised {type(error).__name__}: {error}"
            raise WrongAnswer(said) from error
        if result is ...:
            raise Unanswered
        if result is None:
            raise WrongAnswer("your function returns nothing; does it end in `return`?")
        returned.append(result)
        return result

    return call


def exercise_complaint(number: str, answer) -> str | None:
    """What is wrong with an answer; None if it is right.

    KeyError if there is no such exercise, Unanswered if there is no answer.
    """
    import_module(f"notebooks.exercises.{MODULES[number.split('.')[0]]}")
    returned = []
    try:
        return GRADERS[number](watched_exercise_answer(answer, returned))
    except WrongAnswer as wrong:
        return str(wrong)
    except Exception as error:  # of a grader that finds what it did not expect
        if not returned or isinstance(error, OSError | MemoryError):
            raise
        shown = " ".join(SHORT.repr(returned[-1]).split())
        return f"your answer gives {shown}, which is not what is asked for."


def grade(number: str, answer) -> None:
    """Prints whether an answer is right, and if not, what to look at."""
    try:
        wrong = exercise_complaint(number, answer)
    except Unanswered:
        print(f"○ Exercise {number} is open. Replace the ... in the cell above.")
    else:
        mark, rest = ("✗", f": {wrong}") if wrong else ("✓", " is solved.")
        print(f"{mark} Exercise {number}{rest}")
