"""Questions to a trained model: what is the hidden word, and where did it look?

A sentence is wrapped as in training, [CLS] words [SEP]. Positions count its words.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, UNK, split_words


@dataclass(frozen=True)
class Prediction:
    """What a model says of one hidden word.

    `true` is None where the word is outside the vocabulary; then so are its
    probability and rank (1 = most probable). `weights_NHTS` holds the attention weights
    of the whole sequence, [CLS] first and [SEP] last.
    """

    words: list[str]
    position: int
    top: list[tuple[str, float]]
    true: str | None
    p_true: float | None
    rank_true: int | None
    weights_NHTS: Tensor

    @property
    def pred(self) -> str:
        """The most probable word."""
        return self.top[0][0]

    @property
    def p_pred(self) -> float:
        """The probability of the most probable word."""
        return self.top[0][1]

    @property
    def tokens(self) -> list[str]:
        """The sequence as the model saw it, special tokens included."""
        words = list(self.words)
        words[self.position] = "[MASK]"
        return ["[CLS]", *words, "[SEP]"]

    def attention(self, layer: int | None = -1, head: int | None = None) -> Tensor:
        """Weights of the hidden position over all tokens, shape (S,), sum 1.

        Of one layer, or the mean of all (None); of one head, or the mean of all (None).
        """
        weights_NHS = self.weights_NHTS[:, :, self.position + 1]
        weights_HS = weights_NHS.mean(0) if layer is None else weights_NHS[layer]
        return weights_HS.mean(0) if head is None else weights_HS[head]


def to_words(text: str | list[str], max_length: int) -> list[str]:
    """The words of a sentence that fits the model; otherwise ValueError."""
    words = split_words(text) if isinstance(text, str) else list(text)
    if not words:
        raise ValueError("There is no word in the text; type a sentence.")
    if len(words) > max_length - 2:
        raise ValueError(
            f"The text has {len(words)} words; the model takes at most "
            f"{max_length - 2}. Shorten it."
        )
    return words


@torch.no_grad()
def predict_positions(
    model, tokenizer, text: str | list[str], positions: list[int], top_k: int = 5
) -> list[Prediction]:
    """Hides the word at each position in turn, all in one batch.

    Special tokens and [UNK] are no answers: the rest is renormalised. Raises ValueError
    for an empty text, one that is too long, or a position that does not exist.
    """
    words = to_words(text, model.config.max_length)
    for position in positions:
        if not 0 <= position < len(words):
            raise ValueError(
                f"There is no word {position}; choose 0 to {len(words) - 1}."
            )
    ids = tokenizer.encode(words)
    ids_BT = torch.tensor([[CLS, *ids, SEP]]).repeat(len(positions), 1)
    at_BM = torch.tensor(positions)[:, None] + 1  # after [CLS]
    device = next(model.parameters()).device
    inputs_BT = ids_BT.scatter(1, at_BM, MASK)
    logits_BMV, weights_BNHTS = model(
        inputs_BT.to(device), at_BM.to(device), need_weights=True
    )
    logits_BV = logits_BMV[:, 0]
    logits_BV[:, : len(SPECIALS)] = float("-inf")
    chances_BV = logits_BV.float().softmax(-1).cpu()
    top_k = min(top_k, len(tokenizer) - len(SPECIALS))
    found = []
    for position, chance_V, weights_NHTS in zip(
        positions, chances_BV, weights_BNHTS.float().cpu(), strict=True
    ):
        best = chance_V.topk(top_k)
        top = [
            (tokenizer.words[i], p)
            for p, i in zip(*map(Tensor.tolist, best), strict=True)
        ]
        true = ids[position]
        known = true != UNK
        p_true = chance_V[true].item() if known else None
        rank = int((chance_V > chance_V[true]).sum()) + 1 if known else None
        name = tokenizer.words[true] if known else None
        found.append(Prediction(words, position, top, name, p_true, rank, weights_NHTS))
    return found


def fill_mask(
    model, tokenizer, text: str | list[str], position: int, top_k: int = 5
) -> Prediction:
    """Hides one word of a sentence and asks the model for it."""
    return predict_positions(model, tokenizer, text, [position], top_k)[0]


def mask_each(
    model, tokenizer, text: str | list[str], top_k: int = 5
) -> list[Prediction]:
    """Hides each word of a sentence in turn."""
    words = to_words(text, model.config.max_length)
    return predict_positions(model, tokenizer, words, list(range(len(words))), top_k)
