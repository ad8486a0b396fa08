"""How an arm of the lessons masks a batch. Shapes: B rows, T positions."""

from collections.abc import Callable

from torch import Tensor

from helpers.masking import IGNORE, mask_tokens
from helpers.seeds import seeded
from helpers.tokenizer import MASK
from studies.lessons.arms import KNOWN, Arm, known_only, rows_of, text_of


def mask_all(ids_BT: Tensor, *how, **options) -> tuple[Tensor, Tensor]:
    """`mask_tokens` with [MASK] at each place that is masked."""
    _, labels_BT = mask_tokens(ids_BT, *how, **options)
    return ids_BT.masked_fill(labels_BT != IGNORE, MASK), labels_BT


def mask_known(ids_BT: Tensor, vocab_size: int, *how, **options):
    """`mask_tokens` with the series' own words and draws; the others stay legible."""
    inputs_BT, labels_BT = mask_tokens(known_only(ids_BT), KNOWN, *how, **options)
    return ids_BT.where(ids_BT >= KNOWN, inputs_BT), labels_BT


def static_masks(arm: Arm, seed: int) -> Callable:
    """What `mask_tokens` is to fresh masks, with those that each block has for ever.

    For the small text in packed blocks, which are always the same.
    """
    config, vocab_size = arm.train_config(seed), arm.model_config.vocab_size
    blocks_BT = rows_of(arm, text_of(arm, "train"))
    draw, fixed = seeded(seed, "static"), config.masks == "fixed"
    masked = mask_tokens(blocks_BT, vocab_size, config.mask_rate, draw, fixed)
    number = {tuple(block): i for i, block in enumerate(blocks_BT.tolist())}

    def mask_static(ids_BT: Tensor, *_, **__) -> tuple[Tensor, Tensor]:
        rows = [number[tuple(block)] for block in ids_BT.tolist()]
        inputs_BT, labels_BT = (table_BT[rows] for table_BT in masked)
        return inputs_BT, labels_BT

    return mask_static


def mask_function(arm: Arm, seed: int) -> Callable:
    """How an arm masks a batch: a function with the arguments of `mask_tokens`."""
    if arm.masks == "static":
        return static_masks(arm, seed)
    ways = {"fresh": mask_tokens, "all hidden": mask_all, "known only": mask_known}
    return ways[arm.masks]
