"""Weights as text: the form in which a page carries a model.

Each number of a matrix is one character, a digit in base 93 that says where the number
lies between the row's smallest and largest possible value, -scale and scale. So a
weight takes a byte, base64 would take four for three, and reading is one loop. More
digits a number are as exact as one likes. `decode` in engine.js is the reverse.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from helpers.checkpoint import load_weights, own_weights

BASE, FIRST = 93, ord('"')  # the printable characters of ASCII from this one on
FORBIDDEN, STAND_IN = b"<", b"!"  # so that no text can end the script that holds it
FINE = 3  # digits of the numbers that are few: biases, norms, and scales of rows


def encode(numbers: Tensor, digits: int) -> str:
    """Numbers from -1 to 1 as text, `digits` characters each."""
    most = BASE**digits - 1
    levels = ((numbers.double() + 1) / 2 * most).round().long().flatten()
    places = [levels // BASE**i % BASE for i in reversed(range(digits))]
    codes = torch.stack(places, dim=1).flatten() + FIRST
    return bytes(codes.tolist()).replace(FORBIDDEN, STAND_IN).decode("ascii")


def rounded(numbers: Tensor, digits: int) -> Tensor:
    """Numbers from -1 to 1 as they will be read."""
    half = (BASE**digits - 1) / 2
    return ((numbers.double() + 1) * half).round() / half - 1


def scale_of(numbers: Tensor) -> Tensor:
    """The largest size in each row, or 1 where all are 0."""
    most = numbers.abs().amax(-1)
    return most.where(most > 0, 1)


def parts(weight: Tensor, digits: int) -> tuple[float, list[tuple[Tensor, int]]]:
    """A scale, and numbers from -1 to 1 with the digits that each of them gets.

    A matrix has a scale for each row. These come first, and have a scale themselves.
    """
    weight = weight.detach().cpu().double()
    if weight.dim() == 1:
        scale = float(scale_of(weight))
        return scale, [(weight / scale, FINE)]
    rows = scale_of(weight) * (1 + 1e-5)  # is rounded, and may not become too small
    scale = float(scale_of(rows))
    read = scale * rounded(rows / scale, FINE)
    return scale, [(rows / scale, FINE), (weight / read[:, None], digits)]


def carried(model: nn.Module) -> dict[str, Tensor]:
    """The weights that a page has to carry: a tied matrix once."""
    weights = own_weights(model)
    if model.config.tied:
        del weights["head.decoder.weight"]
    return weights


def pack(model: nn.Module, digits: int = 1) -> tuple[list, str]:
    """A model's weights as a list of (name, shape, scale) and one text."""
    table, texts = [], []
    for name, weight in carried(model).items():
        scale, numbers = parts(weight, digits)
        table.append([name, [*weight.shape], scale])
        texts += [encode(*part) for part in numbers]
    return table, "".join(texts)


def as_read(model: nn.Module, digits: int = 1) -> nn.Module:
    """A copy with the weights that a page will read, to measure what they cost."""
    weights = {}
    for name, weight in carried(model).items():
        scale, numbers = parts(weight, digits)
        *rows, last = [rounded(*part) for part in numbers]
        read = scale * (rows[0][:, None] * last if rows else last)
        weights[name] = read.float()
    copy = deepcopy(model)
    if model.config.tied:
        weights["head.decoder.weight"] = weights["embedding.token.weight"]
    load_weights(copy, weights)
    return copy
