"""Questions to a trained model: what is the masked word, and where did it look?

A sentence is wrapped as in training: [CLS], the words, [SEP]. Positions count words. A
person may leave a blank, `[MASK]` or `___`, and the model sees [MASK] there. Nothing
here changes a model, not even its mode.

Shapes: B rows, T and S positions, M masked positions of a row, V vocabulary, N layers,
H heads.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.attention_plots import attention_of_words, attention_rollout
from explorer.chances import (
    best_word_chances,
    chance_and_rank,
    encoded_chance,
    word_chances,
)
from explorer.tokens import (
    BLANK,
    BLANKS,
    sentence_tokens,
    silent_tokens,
    special_tokens,
    split_for_tokens,
    token_text,
    tokens_with_mask,
    word_tokens,
)
from helpers.model import require_model_vocabulary


@dataclass(frozen=True)
class Prediction:
    """What a model says of one masked word.

    `true` is None where the word is outside the vocabulary or is a blank; then its
    probability and rank (1 = most probable) are None, too. `chance_V` holds the
    probability of every word. `weights_NHTS` holds the attention weights of the whole
    sequence, with [CLS] first and [SEP] last. `target_ids` are the target's tokens, and
    `n_tokens` counts those of the sequence.

    With byte pairs, `chance_V` is about the first piece of the word. `weights_NHTS`,
    and with it rollout, is about words: what goes to the pieces of a word is added up,
    and what comes from them averaged. The rank of a word of several pieces is None if
    it is not in `top`.
    """

    words: list[str]
    position: int
    top: list[tuple[str, float]]
    true: str | None
    p_true: float | None
    rank_true: int | None
    chance_V: Tensor
    weights_NHTS: Tensor
    target_ids: list[int]
    n_tokens: int

    @property
    def pred(self) -> str:
        """The most probable word."""
        return self.top[0][0]

    @property
    def p_pred(self) -> float:
        """The probability of the most probable word."""
        return self.top[0][1]

    @property
    def blank(self) -> bool:
        """Whether a person left a blank, so that there is no true word."""
        return self.words[self.position] == BLANK

    @property
    def target(self) -> str:
        """The true word, or the guess where no true one is known."""
        return self.true or self.pred

    @property
    def p_target(self) -> float:
        """The probability of the target."""
        return self.p_pred if self.true is None else self.p_true

    @property
    def tokens(self) -> list[str]:
        """The sequence as the model saw it, special tokens included."""
        words = list(self.words)
        words[self.position] = "[MASK]"
        return ["[CLS]", *words, "[SEP]"]

    def attention(self, layer=-1, head: int | None = None) -> Tensor:
        """Weights of the masked position over all tokens, shape (S,), sum 1.

        Of one layer, the mean of all (None) or "rollout"; of one head, or the mean of
        all (None). Rollout follows the mean, so it takes no head: ValueError.
        """
        if layer == "rollout":
            if head is not None:
                raise ValueError(f"Rollout has no head {head}; it takes their mean.")
            return attention_rollout(self.weights_NHTS)[self.position + 1]
        weights_NHS = self.weights_NHTS[:, :, self.position + 1]
        weights_HS = weights_NHS.mean(0) if layer is None else weights_NHS[layer]
        return weights_HS.mean(0) if head is None else weights_HS[head]


def prediction_words(model, tokenizer, text: str | list[str]) -> list[str]:
    """The words of a sentence that fits the model, blanks as ___; else ValueError."""
    most = model.config.max_length - 2  # without [CLS] and [SEP]
    words = split_for_tokens(tokenizer, text) if isinstance(text, str) else text
    words = [BLANK if BLANKS.fullmatch(word) else word for word in words]
    if not all(words) or not words:
        raise ValueError("There is no word in the text; type a sentence.")
    tokens = sum(map(len, word_tokens(tokenizer, words)))
    if tokens > most:
        cut = "" if tokens == len(words) else f", which are {tokens} byte pairs"
        raise ValueError(
            f"The text has {len(words)} words{cut}; the model takes at most {most}. "
            "Shorten it."
        )
    return words


def prediction_ids(tokenizer, prediction: Prediction) -> Tensor:
    """The ids that the model saw, shape (T,)."""
    encoded = sentence_tokens(tokenizer, prediction.words)
    return tokens_with_mask(tokenizer, encoded, [prediction.position])[0]


def predict_masked_word(model, tokenizer, encoded, position: int, top_k: int, seen):
    """The prediction of one word of an encoded sentence.

    `seen` is what the model has seen and said of it: the ids with the word masked,
    shape (T,), the probabilities of its first token, and the attention weights.
    """
    inputs_T, chance_V, weights_NHTS = seen
    special, span = special_tokens(tokenizer), encoded.spans[position]
    best = best_word_chances(
        model, tokenizer, inputs_T, position, span, chance_V, top_k
    )
    top = [(token_text(tokenizer, ids), p) for ids, p in best]
    target = encoded.ids[span.start : span.stop]
    true, p_true, rank_true = None, None, None
    if special.unk in target or special.mask in target:
        target = best[0][0]
    else:
        true = encoded.words[position]
        p_true, rank_true = chance_and_rank(chance_V, target[0])
    if true and len(span) > 1:
        p_true = encoded_chance(model, tokenizer, encoded, position, target)
        found = [ids for ids, _ in best]
        rank_true = found.index(target) + 1 if target in found else None
    shown_NHTS = attention_of_words(weights_NHTS, encoded.spans)
    about = encoded.words, position, top, true, p_true, rank_true
    return Prediction(*about, chance_V, shown_NHTS, target, len(encoded.ids))


def predict_positions(
    model, tokenizer, text: str | list[str], positions: list[int], top_k: int = 5
) -> list[Prediction]:
    """Masks the word at each position in turn; their first tokens are one batch.

    Raises ValueError for an empty text, one that is too long, or a position that does
    not exist.
    """
    require_model_vocabulary(model, tokenizer)
    words = prediction_words(model, tokenizer, text)
    for position in positions:
        if not 0 <= position < len(words):
            raise ValueError(
                f"There is no word {position}; choose 0 to {len(words) - 1}."
            )
    encoded = sentence_tokens(tokenizer, words)
    inputs_BT = tokens_with_mask(tokenizer, encoded, positions)
    spans = encoded.spans
    at_BM = torch.tensor([[spans[i].start] for i in positions], device="cpu")
    first = [silent_tokens(tokenizer, i, 0, len(spans[i])) for i in positions]
    silent_BMV = torch.stack(first)[:, None]
    asked = model, inputs_BT, at_BM, silent_BMV, True
    chance_BMV, weights_BNHTS = word_chances(*asked)
    seen = zip(inputs_BT, chance_BMV[:, 0], weights_BNHTS, strict=True)
    return [
        predict_masked_word(model, tokenizer, encoded, position, top_k, own)
        for position, own in zip(positions, seen, strict=True)
    ]


def predicted_chance(model, tokenizer, prediction: Prediction, ids: list[int]) -> float:
    """Probability of a word that has as many tokens as the masked place."""
    if len(ids) == 1:
        return prediction.chance_V[ids[0]].item()
    encoded = sentence_tokens(tokenizer, prediction.words)
    return encoded_chance(model, tokenizer, encoded, prediction.position, ids)


def predicted_guess_chance(
    model, tokenizer, prediction: Prediction, word: str
) -> tuple | None:
    """Probability, rank and number of tokens of any word in the masked place.

    None if the word is unknown. A word of more or fewer tokens is asked for in a place
    of its own size. Its rank is None then, and wherever it has several tokens.
    ValueError if it is too long.
    """
    position, special = prediction.position, special_tokens(tokenizer)
    words = [*prediction.words]
    words[position] = word
    encoded = sentence_tokens(tokenizer, words)
    span = encoded.spans[position]
    ids = encoded.ids[span.start : span.stop]
    if BLANKS.fullmatch(word) or special.unk in ids:
        return None
    if len(prediction.target_ids) == len(ids) == 1:
        return *chance_and_rank(prediction.chance_V, ids[0]), 1
    if len(encoded.ids) > model.config.max_length:
        raise ValueError(f"This word is too long: it has {len(ids)} byte pairs.")
    return encoded_chance(model, tokenizer, encoded, position, ids), None, len(ids)


def fill_mask(
    model, tokenizer, text: str | list[str], position: int | None = None, top_k: int = 5
) -> Prediction:
    """Masks one word of a sentence and asks the model for it.

    Without a position, the word is the blank: "the cat ___ on the mat".
    """
    if position is None:
        words = prediction_words(model, tokenizer, text)
        if words.count(BLANK) != 1:
            raise ValueError(
                f"The text has {words.count(BLANK)} blanks; write one ___ or [MASK] in "
                "place of the word to mask, or give its position."
            )
        position = words.index(BLANK)
    return predict_positions(model, tokenizer, text, [position], top_k)[0]


def predict_each(
    model, tokenizer, text: str | list[str], top_k: int = 5
) -> list[Prediction]:
    """Masks each word of a sentence in turn."""
    words = prediction_words(model, tokenizer, text)
    return predict_positions(model, tokenizer, words, list(range(len(words))), top_k)
