"""BERT's masked-word task: which positions are masked, by what, and the loss.

Dynamic masking with the 80/10/10 replacement (Devlin et al. 2019, section 3.1; dynamic:
Liu et al. 2019, section 4.1), drawn independently or as a fixed number per block, and
the fixed masks by which all models are compared. Left out: whole words, spans, and
next-sentence prediction.

Shapes: B batch, T position, M masked positions of a row, V vocabulary. Rates are shares
of the eligible tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.tokenizer import MASK, SPECIALS

ON_CPU = {"device": "cpu", "dtype": torch.float32}  # whatever the defaults are
IGNORE = -100  # the label of a position that is not predicted, PyTorch's own default


def eligible(ids_BT: Tensor) -> Tensor:
    """True where a token can be predicted: neither special nor [UNK]. Shape (B, T)."""
    return ids_BT >= len(SPECIALS)


def select(ids_BT: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Draws each eligible position with probability `rate`: BERT's way. (B, T) bool."""
    return eligible(ids_BT) & (
        torch.rand(ids_BT.shape, generator=generator, **ON_CPU) < rate
    )


def select_fixed(ids_BT: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draws `count` eligible positions of each block without replacement. (B, T) bool.

    A block with fewer eligible positions gives them all.
    """
    draw_BT = torch.rand(ids_BT.shape, generator=generator, **ON_CPU)
    draw_BT = draw_BT.masked_fill(~eligible(ids_BT), -1.0)
    # Positions rather than a threshold: two draws can be equal.
    highest = draw_BT.topk(min(count, ids_BT.shape[1]), dim=1).indices
    drawn_BT = torch.zeros_like(ids_BT, dtype=torch.bool).scatter(1, highest, True)
    return drawn_BT & eligible(ids_BT)


def replace(ids_BT, selected_BT, vocab_size: int, generator) -> Tensor:
    """What the model sees at the selected positions (Devlin 2019, section 3.1).

    80 % become [MASK], 10 % a word drawn uniformly (never a special token), 10 % stay.
    One draw decides all three; two draws in a row would give other shares. Returns a
    new tensor (B, T); `ids_BT` is not changed.
    """
    draw_BT = torch.rand(ids_BT.shape, generator=generator, **ON_CPU)
    word_BT = torch.randint(
        len(SPECIALS), vocab_size, ids_BT.shape, generator=generator, device="cpu"
    )
    inputs_BT = ids_BT.masked_fill(selected_BT & (draw_BT < 0.8), MASK)
    swapped_BT = selected_BT & (draw_BT >= 0.8) & (draw_BT < 0.9)
    return torch.where(swapped_BT, word_BT, inputs_BT)


def mask_tokens(ids_BT, vocab_size: int, rate: float, generator, fixed=False):
    """Inputs and labels of one training batch, both (B, T).

    Labels hold the true id where a position was selected and IGNORE elsewhere. With
    `fixed` each block has the same number of them: `rate` of the mean that is eligible.
    """
    if fixed:
        count = max(1, round(rate * eligible(ids_BT).sum().item() / len(ids_BT)))
        selected_BT = select_fixed(ids_BT, count, generator)
    else:
        selected_BT = select(ids_BT, rate, generator)
    inputs_BT = replace(ids_BT, selected_BT, vocab_size, generator)
    return inputs_BT, ids_BT.masked_fill(~selected_BT, IGNORE)


def masked_positions(labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The positions that have a label, and their labels, both (B, M).

    M is the largest number in a row; a row with fewer takes along positions whose label
    is IGNORE.
    """
    selected_BT = labels_BT != IGNORE
    most = int(selected_BT.sum(1).max())
    selected_first = selected_BT.byte().argsort(dim=1, descending=True, stable=True)
    at_BM = selected_first[:, :most]
    return at_BM, labels_BT.gather(1, at_BM)


def evaluation_subsets(ids_BT: Tensor, n_subsets: int = 7, seed: int = 0) -> Tensor:
    """Divides all eligible positions at random into disjoint subsets of equal size.

    Returns (B, T): the number of the subset, -1 where a position is not eligible. To
    mask and score each subset in turn is to predict every word once, at a mask rate of
    1/7 = 14.3 %, with the same masks for every model.
    """
    position = eligible(ids_BT).flatten().nonzero().squeeze(1)
    generator = torch.Generator("cpu").manual_seed(seed)
    order = torch.randperm(len(position), generator=generator, device="cpu")
    subset = ids_BT.new_full((ids_BT.numel(),), -1)
    subset[position[order]] = torch.arange(len(position), device="cpu") % n_subsets
    return subset.view(ids_BT.shape)


def mlm_loss(logits_BMV: Tensor, labels_BM: Tensor, count: int | None = None) -> Tensor:
    """Mean cross-entropy over the selected positions, in nats (Devlin 2019, 3.1).

    L = -1/|M| Σ log softmax(logits)[label]. Takes logits (..., V) and labels (...), of
    all positions or of some; a label of IGNORE does not count. A model that knows
    nothing has ln V = 7.60 for V = 2,000. `count` is |M| where these are a part of a
    batch. Raises ValueError if no position is selected.
    """
    if count is None:
        count = int((labels_BM != IGNORE).sum())
    if count == 0:
        raise ValueError("No position is selected; raise the rate or take more text.")
    total = F.cross_entropy(
        logits_BMV.flatten(0, -2).float(),
        labels_BM.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return total / count
