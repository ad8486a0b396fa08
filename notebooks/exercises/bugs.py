"""Graders of notebook 08."""

import torch

from notebooks.exercises import exercise
from notebooks.grader import Adapters, grader_results
from notebooks.grader.ours import our_attention


@exercise("8.1")
def grade_bugs_masking(answer):
    """The grader's own checks of masking; reports the first one that fails."""
    for result in grader_results(Adapters(mask=answer)):
        if not result.passed:
            if result.seen.startswith("it raised"):
                return "return two tensors, inputs and labels, of the shape of ids_BT."
            check = result.check
            return f"not yet true: {check.title} ({result.seen}). {check.remedy}"


@exercise("8.2")
def grade_bugs_lines(answer):
    if not isinstance(answer, set) or len(answer) != 2:
        return "answer with a set of two line numbers, such as {1, 2}."
    if answer == {7, 8}:
        return (
            "the order of lines 7 and 8 is one fault. Name the line that comes too "
            "early, and look for the other fault."
        )
    if answer == {2, 7}:
        return None
    if right := answer & {2, 7}:
        return f"line {right.pop()} comes too early, but your other line does not."
    return "follow one weight and one mask through two steps of the loop."


def bugs_exercise_unmasked(q_BHTK, k_BHSK, v_BHSK, real_BS, p):
    return our_attention(q_BHTK, k_BHSK, v_BHSK, None, p)


def bugs_exercise_leaking(q_BHTK, k_BHSK, v_BHSK, real_BS, p):
    """A mask of -4 instead of -inf leaves [PAD] a small share."""
    scores = q_BHTK @ k_BHSK.mT / q_BHTK.shape[-1] ** 0.5
    scores = scores - 4.0 * (~real_BS)[:, None, None] if real_BS is not None else scores
    weights = scores.softmax(-1)
    return weights @ v_BHSK, weights


@exercise("8.3")
def grade_bugs_leak(answer):
    torch.manual_seed(0)
    if bool(answer(our_attention)):
        return (
            "your test suspects a function that hides [PAD]; return False for it. (If "
            "you write nan or inf: a weight of 0 times nan is nan.)"
        )
    if not bool(answer(bugs_exercise_unmasked)):
        return "a function without any mask passes your test; use a row with [PAD]."
    if not bool(answer(bugs_exercise_leaking)):
        return (
            "a function that only lowers the scores of [PAD] by 4 passes your test: "
            "its leak is small. Change the values at [PAD] by much more."
        )
