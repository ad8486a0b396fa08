"""Questions to a trained model: what is the masked word, and where did it look?

A sentence is wrapped as in training: [CLS], the words, [SEP]. Positions count words. A
person may leave a blank, `[MASK]` or `___`, and the model sees [MASK] there. Nothing
here changes a model, not even its mode.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.attention_plots import attention_rollout
from explorer.vocabulary import OURS, add_special_ids, special_ids, vocabulary_words
from helpers.model import require_model_vocabulary, shallow_model_copy

BLANK, BLANKS = "___", re.compile(r"\[MASK\]|_{3,}")  # as shown, and as typed


@dataclass(frozen=True)
class Prediction:
    """What a model says of one masked word.

    `true` is None where the word is outside the vocabulary or is a blank; then its
    probability and rank (1 = most probable) are None, too. `chance_V` holds the
    probability of every word. `weights_NHTS` holds the attention weights of the whole
    sequence, with [CLS] first and [SEP] last.
    """

    words: list[str]
    position: int
    top: list[tuple[str, float]]
    true: str | None
    p_true: float | None
    rank_true: int | None
    chance_V: Tensor
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


def chance_and_rank(chance_V: Tensor, word_id: int) -> tuple[float, int]:
    """Probability of a word and its rank among all; 1 is the most probable."""
    p = chance_V[word_id]
    return p.item(), int((chance_V > p).sum()) + 1


def words_to_predict(model, tokenizer, text: str | list[str]) -> list[str]:
    """The words of a sentence that fits the model, blanks as ___; else ValueError."""
    max_length = model.config.max_length
    words = vocabulary_words(tokenizer, text) if isinstance(text, str) else text
    words = [BLANK if BLANKS.fullmatch(word) else word for word in words]
    if not words:
        raise ValueError("There is no word in the text; type a sentence.")
    if len(words) > max_length - 2:
        raise ValueError(
            f"The text has {len(words)} words; the model takes at most "
            f"{max_length - 2}. Shorten it."
        )
    return words


def ids_to_predict(tokenizer, words: list[str]) -> list[int]:
    """The ids of words, that of [MASK] for a blank."""
    ids, mask = tokenizer.encode(words), special_ids(tokenizer).mask
    return [mask if word == BLANK else i for word, i in zip(words, ids, strict=True)]


def prediction_ids(tokenizer, prediction: Prediction) -> Tensor:
    """The ids that the model saw, shape (T,)."""
    ids = ids_to_predict(tokenizer, prediction.words)
    ids[prediction.position] = special_ids(tokenizer).mask
    return torch.tensor(add_special_ids(tokenizer, ids), device="cpu")


@torch.no_grad()
def word_chances(
    model, inputs_BT: Tensor, at_BM: Tensor, need_weights=False, silent=OURS.silent
):
    """Probabilities (B, M, V) at the given positions; weights (B, N, H, T, S) or None.

    Dropout is off, whatever the model's mode. The ids in `silent`, special tokens and
    [UNK], are no answers: they get 0, the rest is renormalised. Raises ValueError where
    the model gives no finite score for each word.
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
    logits_BMV[..., list(silent)] = float("-inf")
    chance_BMV = logits_BMV.float().softmax(-1).cpu()
    return chance_BMV, weights_BNHTS.float().cpu() if need_weights else None


def predict_positions(
    model, tokenizer, text: str | list[str], positions: list[int], top_k: int = 5
) -> list[Prediction]:
    """Masks the word at each position in turn, all in one batch.

    Raises ValueError for an empty text, one that is too long, or a position that does
    not exist.
    """
    require_model_vocabulary(model, tokenizer)
    words = words_to_predict(model, tokenizer, text)
    for position in positions:
        if not 0 <= position < len(words):
            raise ValueError(
                f"There is no word {position}; choose 0 to {len(words) - 1}."
            )
    ids, special = ids_to_predict(tokenizer, words), special_ids(tokenizer)
    ids_T = torch.tensor(add_special_ids(tokenizer, ids), device="cpu")
    at_BM = torch.tensor(positions, device="cpu")[:, None] + 1  # after [CLS]
    inputs_BT = ids_T.repeat(len(positions), 1).scatter(1, at_BM, special.mask)
    asked = model, inputs_BT, at_BM, True, special.silent
    chance_BMV, weights_BNHTS = word_chances(*asked)
    top_k = min(top_k, len(tokenizer) - len(special.silent))
    predictions = []
    answers = zip(positions, chance_BMV[:, 0], weights_BNHTS, strict=True)
    for position, chance_V, weights_NHTS in answers:
        chances, best = (values.tolist() for values in chance_V.topk(top_k))
        top = [(tokenizer.words[i], p) for i, p in zip(best, chances, strict=True)]
        true, p_true, rank_true = None, None, None
        if ids[position] not in (special.unk, special.mask):
            true = tokenizer.words[ids[position]]
            p_true, rank_true = chance_and_rank(chance_V, ids[position])
        about = words, position, top, true, p_true, rank_true
        predictions.append(Prediction(*about, chance_V, weights_NHTS))
    return predictions


def fill_mask(
    model, tokenizer, text: str | list[str], position: int | None = None, top_k: int = 5
) -> Prediction:
    """Masks one word of a sentence and asks the model for it.

    Without a position, the word is the blank: "the cat ___ on the mat".
    """
    if position is None:
        words = words_to_predict(model, tokenizer, text)
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
    words = words_to_predict(model, tokenizer, text)
    return predict_positions(model, tokenizer, words, list(range(len(words))), top_k)
