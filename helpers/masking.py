"""BERT's masked-word task: which positions are selected, what replaces them, the loss.

Masks follow the 80/10/10 rule (Devlin et al. 2019, section 3.1). Left out: masks of
whole words and of spans, next-sentence prediction.

Shapes: B rows of text, T positions, M selected positions of a row, V vocabulary. Rates
are shares of the eligible tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.tokenizer import MASK, SPECIALS

ON_CPU = {"device": "cpu", "dtype": torch.float32}  # whatever the defaults are
IGNORE = -100  # the label of a position that is not predicted, PyTorch's own default


def eligible(ids_BT: Tensor) -> Tensor:
    """True where a token may be selected: no special token, [UNK] included. (B, T)."""
    return ids_BT >= len(SPECIALS)


def select_fixed(ids_BT: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Selects `count` eligible positions in each row at random. Shape (B, T), bool.

    In a row with fewer eligible positions all of them are selected.
    """
    draw_BT = torch.rand(ids_BT.shape, generator=generator, **ON_CPU)
    draw_BT = draw_BT.masked_fill(~eligible(ids_BT), -1.0)
    # Positions rather than a threshold: two draws can be equal.
    highest = draw_BT.topk(min(count, ids_BT.shape[1]), dim=1).indices
    drawn_BT = torch.zeros_like(ids_BT, dtype=torch.bool).scatter(1, highest, True)
    return drawn_BT & eligible(ids_BT)


def mask_tokens(ids_BT, vocab_size: int, rate: float, generator, fixed=False):
    """Inputs and labels of one training batch, both (B, T) (Devlin 2019, section 3.1).

    Each eligible position is selected with probability `rate`. With `fixed` every row
    has the same number of selected positions instead: `rate` times the mean number of
    eligible ones. 80 % of the selected words become [MASK], 10 % become a random word
    (never a special token), and 10 % stay. Labels hold the true id at selected
    positions and IGNORE elsewhere. `ids_BT` is not changed.
    """
    if fixed:
        count = max(1, round(rate * eligible(ids_BT).sum().item() / len(ids_BT)))
        selected_BT = select_fixed(ids_BT, count, generator)
    else:
        chance_BT = torch.rand(ids_BT.shape, generator=generator, **ON_CPU)
        selected_BT = eligible(ids_BT) & (chance_BT < rate)
    # One draw decides between the three; two draws in a row would give other shares.
    draw_BT = torch.rand(ids_BT.shape, generator=generator, **ON_CPU)
    word_BT = torch.randint(
        len(SPECIALS), vocab_size, ids_BT.shape, generator=generator, device="cpu"
    )
    inputs_BT = ids_BT.masked_fill(selected_BT & (draw_BT < 0.8), MASK)
    swapped_BT = selected_BT & (draw_BT >= 0.8) & (draw_BT < 0.9)
    inputs_BT = torch.where(swapped_BT, word_BT, inputs_BT)
    return inputs_BT, ids_BT.masked_fill(~selected_BT, IGNORE)


def masked_positions(labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The positions that have a label, and their labels, both (B, M).

    M is the largest number of labels in a row. A row with fewer is filled up with other
    positions, whose label is IGNORE.
    """
    selected_BT = labels_BT != IGNORE
    most = int(selected_BT.sum(1).max())
    selected_first = selected_BT.byte().argsort(dim=1, descending=True, stable=True)
    at_BM = selected_first[:, :most]
    return at_BM, labels_BT.gather(1, at_BM)


def mask_subsets(ids_BT: Tensor, n_subsets: int = 7, seed: int = 0) -> Tensor:
    """Divides all eligible positions at random into disjoint subsets of equal size.

    Returns the number of each position's subset, or -1 where a position is not
    eligible; shape (B, T). When each subset is masked and scored in turn, every word is
    predicted once, at a mask rate of 1/7 = 14.3 %, with the same masks for all models.
    """
    position = eligible(ids_BT).flatten().nonzero().squeeze(1)
    generator = torch.Generator("cpu").manual_seed(seed)
    order = torch.randperm(len(position), generator=generator, device="cpu")
    subset = ids_BT.new_full((ids_BT.numel(),), -1)
    subset[position[order]] = torch.arange(len(position), device="cpu") % n_subsets
    return subset.view(ids_BT.shape)


def mlm_loss(logits_BMV: Tensor, labels_BM: Tensor, count: int | None = None) -> Tensor:
    """Mean cross-entropy over the selected positions, in nats (Devlin 2019, 3.1).

    L = -1/M Σ log softmax(logits)[label]. Takes logits (..., V) and labels (...), of
    all positions or of some; where a label is IGNORE, the position does not count. A
    model that knows nothing has a loss of ln V, which is 7.60 for V = 2,000. If this is
    only part of a batch, `count` is M of the whole batch. Raises ValueError if no
    position is selected.
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
