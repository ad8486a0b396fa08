"""Checks of the loss of a masked language model."""

import math

import torch

from helpers.masking import IGNORE
from notebooks.grader import grader_check

V = 11


def loss_evidence(seen, adapters):
    draw = torch.Generator().manual_seed(0)
    logits_BTV = torch.randn(4, V, V, generator=draw)
    labels_BT = torch.full((4, V), IGNORE)
    labels_BT[0] = torch.arange(V)  # each class once, 0 included
    labels_BT[1, 3], labels_BT[2, 5] = 7, 2
    leaf_BTV = logits_BTV.clone().requires_grad_()
    value = adapters.loss(leaf_BTV, labels_BT)
    value.backward()
    seen.value, seen.pull_BT = value.item(), leaf_BTV.grad.abs().sum(-1)
    losses = [
        -float(logits_BTV[b, t].double().log_softmax(-1)[labels_BT[b, t]])
        for b, t in (labels_BT != IGNORE).nonzero().tolist()
    ]
    seen.mean = sum(losses) / len(losses)
    seen.loss, seen.logits_BTV, seen.labels_BT = adapters.loss, logits_BTV, labels_BT


@grader_check(
    "it is the mean over the selected words",
    "Divide the sum over the selected words by their number, not by the number of all "
    "positions. Do not average the means of the rows.",
)
def check_loss_mean(seen):
    return abs(seen.value - seen.mean) < 1e-4, f"{seen.value:.3f} for {seen.mean:.3f}"


@grader_check(
    "positions without a label do not count",
    "Apply the mask to the loss of each position (reduction='none'). After the mean, "
    "it multiplies a single number and cancels out.",
)
def check_loss_unlabelled(seen):
    pull = float(seen.pull_BT[seen.labels_BT == IGNORE].max())
    return pull < 1e-8, "the gradient of a position without a label is not zero"


@grader_check(
    "every word with a label counts, whatever its id",
    "ignore_index must be -100, the label of positions that are not selected. If it is "
    "the id of a class, that class is never learned.",
)
def check_loss_labels(seen):
    ids = seen.labels_BT[(seen.labels_BT != IGNORE) & (seen.pull_BT < 1e-8)]
    return len(ids) == 0, f"labels {ids.tolist()} have no gradient"


@grader_check(
    "rows without a selected word do not dilute it",
    "Divide by the number of selected words, not by B·T.",
)
def check_loss_dilution(seen):
    more = [
        torch.cat([x, x[3:].repeat_interleave(50, 0)])
        for x in (seen.logits_BTV, seen.labels_BT)
    ]
    diluted = float(seen.loss(*more))
    return abs(diluted - seen.value) < 1e-4, f"{seen.value:.3f} became {diluted:.3f}"


@grader_check(
    "it is measured in nats",
    "Use the natural logarithm; a model that knows nothing then has a loss of ln V.",
)
def check_loss_nats(seen):
    flat = float(seen.loss(torch.zeros_like(seen.logits_BTV), seen.labels_BT))
    wanted = math.log(V)
    told = f"equal scores give {flat:.3f}, ln V is {wanted:.3f}"
    return abs(flat - wanted) < 1e-4, told


@grader_check(
    "it takes logits, whatever their size",
    "Pass the logits to cross_entropy as they are, without a softmax before it.",
)
def check_loss_logits(seen):
    label_BT = torch.tensor([[4]])
    sure_BTV = torch.zeros(1, 1, V)
    sure_BTV[..., 4] = 1_000.0
    value = float(seen.loss(sure_BTV, label_BT))
    return value < 1e-3, f"a model that is sure and right still has {value:.2f}"
