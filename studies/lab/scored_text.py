"""The text on which models are scored: WikiText-2, in blocks and in sentences.

Shapes: B blocks or sentences, T positions, R rows with one hidden word each.
"""

import torch
from torch import Tensor

from helpers.corpus import FOLDER_VARIABLE, WIKITEXT, Corpus, training_corpus
from helpers.data import encode_lines, pack, pad
from helpers.evaluate import evaluate
from helpers.masking import mask_subsets


def require_wikitext() -> Corpus:
    """WikiText-2 itself, for studies, whose records are about no other text.

    Raises ConnectionError where it is not within reach, ValueError where another text
    was chosen.
    """
    corpus = training_corpus()
    if corpus.name != WIKITEXT:
        raise ValueError(
            f"This is about WikiText-2, and the text at hand is {corpus.name!r}: "
            f"correct or remove {FOLDER_VARIABLE}, which has chosen it."
        )
    return corpus


def scored_sentences(lines: list[str], shortest: int, longest: int) -> list[tuple]:
    """Sentences of running text, cut at . ! ?, of `shortest` to `longest` words.

    Each has its place, that of its first word in what `helpers.data.join_lines` makes
    of the lines.
    """
    placed, start = [], 0
    for line in lines:
        words, first = line.split(), 0
        for end, word in enumerate(words, 1):
            if word in (".", "!", "?"):
                if shortest <= end - first <= longest and not line.startswith("="):
                    placed.append((start + first, words[first:end]))
                first = end
        start += len(words) + 1  # [SEP]
    return placed


def scored_sentence_rows(tokenizer, lines: list[str], length: int) -> tuple:
    """Sentences of 5 to 40 words, each in a row of its own, and their tokens' places.

    Both are (B, T). They go from short to long, since batches of similar length are
    scored faster.
    """
    placed = sorted(scored_sentences(lines, 5, 40), key=lambda pair: len(pair[1]))
    ids_BT = pad([tokenizer.encode(words) for _, words in placed], length)
    start_B = torch.tensor([place for place, _ in placed])
    return ids_BT, start_B[:, None] + torch.arange(-1, length - 1)


def scored_blocks(tokenizer, lines: list[str], length: int) -> tuple[Tensor, Tensor]:
    """The lines in packed blocks, and which subset each position is of, (B, T) each."""
    ids_BT = pack(encode_lines(tokenizer, lines), length)
    return ids_BT, mask_subsets(ids_BT)


def score(model, ids_BT: Tensor, subset_BT: Tensor, subsets=range(7)) -> dict:
    """Loss and accuracy with every word of these subsets predicted once."""
    result = evaluate(model, ids_BT, subset_BT, subsets=subsets)
    return {key: result[key] for key in ("loss", "accuracy", "words")}


def score_singly(model, ids_BT: Tensor, subset_BT: Tensor, every: int) -> dict:
    """Loss and accuracy on each `every`-th word, hidden alone in its block."""
    row_R, at_R = (subset_BT >= 0).nonzero()[::every].T
    rows_RT = ids_BT[row_R]
    singly_RT = torch.full_like(rows_RT, -1).scatter(1, at_R[:, None], 0)
    return score(model, rows_RT, singly_RT, [0])


def score_sentences(model, tokenizer, lines: list[str], subsets=range(7)) -> dict:
    """Loss and accuracy over the sentences of some lines, each in a row of its own."""
    ids_BT, _ = scored_sentence_rows(tokenizer, lines, model.config.max_length)
    return score(model, ids_BT, mask_subsets(ids_BT), subsets)
