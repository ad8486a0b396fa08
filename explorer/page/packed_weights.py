"""Weights as text: the form in which a page carries a model.

Each number of a matrix is one character, a digit in base 93 that says where the number
lies between the row's smallest and largest possible value, -scale and scale. So a
weight takes a byte, base64 would take four for three, and reading is one loop. More
digits a number are as exact as one likes. `decode` in engine.js is the reverse.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from helpers.checkpoint import checkpoint_weights, load_weights

BASE, FIRST = 93, ord('"')  # the printable characters of ASCII from this one on
FORBIDDEN, STAND_IN = b"<", b"!"  # so that no text can end the script that holds it
FINE = 3  # digits of the numbers that are few: biases, norms, and scales of rows


def pack_numbers(numbers: Tensor, digits: int) -> str:
    """Numbers from -1 to 1 as text, `digits` characters each."""
    most = BASE**digits - 1
    levels = ((numbers.double() + 1) / 2 * most).round().long().flatten()
    places = [levels // BASE**i % BASE for i in reversed(range(digits))]
    codes = torch.stack(places, dim=1).flatten() + FIRST
    return bytes(codes.tolist()).replace(FORBIDDEN, STAND_IN).decode("ascii")


def unpacked_numbers(numbers: Tensor, digits: int) -> Tensor:
    """Numbers from -1 to 1 as they will be read."""
    half = (BASE**digits - 1) / 2
    return ((numbers.double() + 1) * half).round() / half - 1


def packing_scale(numbers: Tensor) -> Tensor:
    """The largest size in each row, or 1 where all are 0."""
    most = numbers.abs().amax(-1)
    return most.where(most > 0, 1)


def weight_packing_parts(
    weight: Tensor, digits: int
) -> tuple[float, list[tuple[Tensor, int]]]:
    """A scale, and numbers from -1 to 1 with the digits that each of them gets.

    A matrix has a scale for each row. These come first, and have a scale themselves.
    """
    weight = weight.detach().cpu().double()
    if weight.dim() == 1:
        scale = float(packing_scale(weight))
        return scale, [(weight / scale, FINE)]
    rows = packing_scale(weight)
    rows += 2 * rows.max() / (BASE**FINE - 1)  # rounded, it may not become too small
    scale = float(rows.max())
    read = scale * unpacked_numbers(rows / scale, FINE)
    return scale, [(rows / scale, FINE), (weight / read[:, None], digits)]


def weights_to_pack(model: nn.Module) -> dict[str, Tensor]:
    """The weights that a page has to carry: a tied matrix once."""
    weights = checkpoint_weights(model)
    if model.config.tied:
        del weights["head.decoder.weight"]
    return weights


def pack_weights(model: nn.Module, digits: int = 1) -> tuple[list, str]:
    """A model's weights as a list of (name, shape, scale) and one text."""
    table, texts = [], []
    for name, weight in weights_to_pack(model).items():
        scale, numbers = weight_packing_parts(weight, digits)
        table.append([name, [*weight.shape], scale])
        texts += [pack_numbers(*part) for part in numbers]
    return table, "".join(texts)


def unpacked_copy(model: nn.Module, digits: int = 1) -> nn.Module:
    """A copy with the weights that a page will read, to measure what they cost."""
    weights = {}
    for name, weight in weights_to_pack(model).items():
        scale, numbers = weight_packing_parts(weight, digits)
        *rows, last = [unpacked_numbers(*part) for part in numbers]
        read = scale * (rows[0][:, None] * last if rows else last)
        weights[name] = read.float()
    copy = deepcopy(model)
    if model.config.tied:
        weights["head.decoder.weight"] = weights["embedding.token.weight"]
    load_weights(copy, weights)
    return copy
