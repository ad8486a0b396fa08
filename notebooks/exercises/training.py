"""Graders of notebook 04."""

import math

import torch

from notebooks.exercises import exercise

GRADIENTS = [0.5, -0.1, 0.02, 0.3, -0.7]


def training_answer_expected(rate: float, decay: float) -> list[float]:
    """The weight after each step of PyTorch's own AdamW, from 1.0 on."""
    weight, found = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64)), []
    chosen = {"lr": rate, "betas": (0.9, 0.98), "weight_decay": decay}
    optimizer = torch.optim.AdamW([weight], **chosen)
    for gradient in GRADIENTS:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        found.append(weight.item())
    return found


def training_answer_given(answer, rate: float, decay: float) -> list[float]:
    """The weight after each step of an answer."""
    w, m, v, found = 1.0, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, start=1):
        w, m, v = answer(w, g, m, v, t, rate, decay)
        found.append(float(w))
    return found


@exercise("4.1")
def grade_training_adamw(answer):
    if not isinstance(made := answer(1.0, 0.5, 0.0, 0.0, 1, 0.01, 0.0), tuple | list):
        return "return the new w, m and v, in this order."
    if len(made) != 3:
        return f"return three values, w, m and v; yours are {len(made)}."
    means = zip(made[1:], (0.05, 0.005), strict=True)
    if not all(math.isclose(*pair, abs_tol=1e-9) for pair in means):
        return (
            f"after a first gradient of 0.5, m is 0.05 and v is 0.005; yours are "
            f"{made[1]:.4g} and {made[2]:.4g}."
        )
    if not math.isclose(made[0], 0.99, abs_tol=1e-6):
        return (
            "the first step is as long as the rate: with a rate of 0.01 the weight "
            f"goes from 1 to 0.99, and yours to {made[0]:.4g}. Look at the corrections "
            "of m and v and at the square root."
        )
    tiny, *_ = answer(1.0, 1e-8, 0.0, 0.0, 1, 0.01, 0.0)
    if not math.isclose(tiny, 0.995, abs_tol=1e-6):
        return (
            "with a first gradient as small as ε, 1e-8, the weight goes from 1 to "
            f"0.995, and yours to {tiny:.6g}. ε is added to the square root itself."
        )
    wanted = training_answer_expected(0.01, 0.0)
    found = training_answer_given(answer, 0.01, 0.0)
    for step, (want, got) in enumerate(zip(wanted, found, strict=True), start=1):
        if not math.isclose(want, got, abs_tol=1e-6):
            return (
                f"step {step} ends at {got:.5f}, where PyTorch's AdamW has {want:.5f}. "
                "The corrections depend on t."
            )
    wanted = training_answer_expected(0.01, 0.1)
    found = training_answer_given(answer, 0.01, 0.1)
    if not math.isclose(wanted[-1], found[-1], abs_tol=1e-6):
        return (
            "the step is right without weight decay, but not with it. The decay takes "
            "rate × decay × w from the weight that w was before the step."
        )


CURVES = [  # losses, patience, and what is wrong with an answer that differs
    ([3, 2, 1, 0.5], 2, "the loss falls to the end, so nothing stops it early"),
    ([3, 2, 2.5, 2.6, 1], 2, "two in a row were not lower than 2, so 1 is never seen"),
    ([3, 2, 2.5, 1.9, 2.2, 2.4, 1], 2, "a new lowest loss starts the count anew"),
    ([3, 2, 2.9, 2.8, 2.7, 1], 3, "2.8 is lower than 2.9, but not lower than 2"),
    ([3, 2, 2, 2, 1], 2, "an equal loss is not a lower loss"),
    ([3, 2, 2.5], 2, "the list ends before the patience runs out"),
]
ENDS = [(3, 3), (3, 1), (5, 3), (4, 1), (3, 1), (2, 1)]


@exercise("4.2")
def grade_training_stop(answer):
    for (losses, patience, why), want in zip(CURVES, ENDS, strict=True):
        found = answer(losses, patience)
        if not isinstance(found, tuple | list) or len(found) != 2:
            return "return two indices: the end of training, and the best evaluation."
        if tuple(found) != want:
            return (
                f"for {losses} and a patience of {patience}, the answer is {want}, "
                f"and yours is {tuple(found)}: {why}."
            )
