"""The probabilities that a model gives to a masked word, of one token or several.

A word of several byte pairs is masked as a whole, so the model sees how many there are.

Shapes: B rows, T and S positions, M masked positions of a row, V vocabulary, N layers,
H heads.
"""

import torch
from torch import Tensor

from explorer.tokens import silent_tokens, spells_with_tokens, tokens_with_mask
from helpers.model import shallow_model_copy

WIDTH = 8  # how many words a beam search follows for each that it is to find


def chance_and_rank(chance_V: Tensor, word_id: int) -> tuple[float, int]:
    """Probability of a word and its rank among all; 1 is the most probable."""
    p = chance_V[word_id]
    return p.item(), int((chance_V > p).sum()) + 1


@torch.no_grad()
def word_chances(model, inputs_BT, at_BM, silent, need_weights=False):
    """Probabilities (B, M, V) at the given positions; weights (B, N, H, T, S) or None.

    Dropout is off, whatever the model's mode. Where `silent` is True, there is no
    answer: these ids get 0, and the rest is renormalised. The shape of `silent` is
    (V,), or (B, 1, V). Raises ValueError where the model gives no finite score for each
    word.
    """
    model = shallow_model_copy(model).eval()
    device = next(model.parameters()).device
    with torch.autocast(device.type, enabled=False):
        output = model(inputs_BT.to(device), at_BM.to(device), need_weights)
    logits_BMV, weights_BNHTS = output if need_weights else (output, None)
    if logits_BMV.shape[-1] != model.config.vocab_size:
        raise ValueError(
            "The model has no output layer that scores words, so it cannot fill in a "
            "blank; take a BERT with its head, such as BertForMaskedLM."
        )
    if not logits_BMV.isfinite().all():
        raise ValueError("The model's scores are not finite; load other weights.")
    logits_BMV = logits_BMV.masked_fill(silent.to(device), float("-inf"))
    chance_BMV = logits_BMV.float().softmax(-1).cpu()
    return chance_BMV, weights_BNHTS.float().cpu() if need_weights else None


def piece_chances(model, tokenizer, inputs_BT, position: int, span, piece: int):
    """Probabilities (B, V) of a piece of the word at a position, which fills a span."""
    at_BM = inputs_BT.new_full((len(inputs_BT), 1), span[piece])
    silent_V = silent_tokens(tokenizer, position, piece, len(span))
    chance_BMV, _ = word_chances(model, inputs_BT, at_BM, silent_V)
    return chance_BMV[:, 0]


def span_chances(
    model, tokenizer, inputs_BT: Tensor, position: int, span: range, ids: list[int]
) -> Tensor:
    """Probability of a word, given by its ids, at a masked span of each row; (B,).

    That of several pieces is a product: each piece is asked for with the ones before it
    in place, and the ones behind it masked (Kauf & Ivanova 2023).
    """
    chance_B = torch.ones(len(inputs_BT), dtype=torch.float64, device="cpu")
    for piece, (at, i) in enumerate(zip(span, ids, strict=True)):
        place = position, span, piece
        chance_BV = piece_chances(model, tokenizer, inputs_BT, *place)
        chance_B = chance_B * chance_BV[:, i]
        inputs_BT = inputs_BT.clone()
        inputs_BT[:, at] = i
    return chance_B


def encoded_chance(model, tokenizer, encoded, position: int, ids: list[int]) -> float:
    """Probability of a word, given by its ids, in place of the one at a position."""
    inputs_BT = tokens_with_mask(tokenizer, encoded, [position])
    span = encoded.spans[position]
    return span_chances(model, tokenizer, inputs_BT, position, span, ids).item()


def best_word_chances(
    model, tokenizer, inputs_T, position: int, span: range, chance_V, top_k: int
) -> list[tuple[list[int], float]]:
    """The ids of the most probable words at a masked span, with their probabilities.

    `inputs_T` is the row that holds the span, and `chance_V` is the probability of the
    first piece. Where there are more, a beam search looks for the words, and may miss
    one; words that the tokenizer would write with other pieces are left out.
    """
    silent_V = silent_tokens(tokenizer, position, 0, len(span))
    width = top_k if len(span) == 1 else WIDTH * top_k
    # In 64 bits, as the product of many small numbers is 0 in 32.
    chances, best = chance_V.double().topk(min(width, int((~silent_V).sum())))
    words = best[:, None]
    for piece in range(1, len(span)):
        rows = inputs_T.repeat(len(words), 1)
        rows[:, span.start : span.start + piece] = words
        following = piece_chances(model, tokenizer, rows, position, span, piece)
        joint = chances[:, None] * following
        silent_V = silent_tokens(tokenizer, position, piece, len(span))
        possible = len(words) * int((~silent_V).sum())
        chances, best = joint.flatten().topk(min(width, possible))
        row, last = best // joint.shape[1], best % joint.shape[1]
        words = torch.cat([words[row], last[:, None]], 1)
    found = list(zip(words.tolist(), chances.tolist(), strict=True))
    spelled = [(ids, p) for ids, p in found if spells_with_tokens(tokenizer, ids)]
    return (spelled or found)[:top_k]
