"""Exercises of notebook 05: what a trained model looks at, and what it needs."""

import math
from functools import cache

import torch

from explorer.predict import Prediction, fill_mask
from helpers import ROOT
from helpers.checkpoint import load_model
from notebooks.exercises import exercise

SENTENCE = (
    "She was born in London, and her first album was released in the United States in "
    "2005."
)
STARTS = [
    SENTENCE.split(),
    "The river is one of the most important in the region .".split(),
    "His mother was a teacher , and his father worked .".split(),
    "In 2005 the band released a new album .".split(),
]


@cache
def attention_exercise_model() -> tuple:
    """The shipped model with dropout, and its tokenizer."""
    return load_model(ROOT / "weights" / "dropout.safetensors", None)[:2]


@exercise("5.1")
def grade_attention_capitals(before):
    if not isinstance(before, list) or not all(isinstance(w, str) for w in before):
        return "give a list of words, such as ['the', 'year']."
    if len(before) > 8:
        return f"you need fewer than {len(before)} words; try it with one or a few."
    for words in STARTS:
        answer = fill_mask(*attention_exercise_model(), [*before, *words], len(before))
        if not answer.pred[0].isupper():
            return (
                f"with {before} before “{' '.join(words[:4])} …” the best guess for "
                f"the first word is still “{answer.pred}”."
            )


def attention_exercise_fall(model, tokenizer, prediction, *hidden: int) -> float:
    """Fall of the log-probability of the true word with these words hidden."""
    words = ["___" if i in hidden else word for i, word in enumerate(prediction.words)]
    seen = fill_mask(model, tokenizer, words, prediction.position)
    chance = seen.chance_V[tokenizer.ids[prediction.target]]
    return math.log(prediction.p_target) - math.log(chance)


@exercise("5.2")
def grade_attention_surplus(surplus):
    trained = attention_exercise_model()
    given = *trained, fill_mask(*trained, SENTENCE, 7)
    for one, two in ((0, 8), (8, 9), (6, 2)):
        both, first, second = (
            attention_exercise_fall(*given, *hidden)
            for hidden in ((one, two), (one,), (two,))
        )
        expected = both - first - second
        answer, names = float(surplus(*given, one, two)), given[2].words
        if not math.isclose(answer, expected, abs_tol=1e-3):
            hint = "the sign is reversed" if abs(answer + expected) < 1e-3 else ""
            if abs(answer - both) < 1e-3:
                hint = "that is the fall for both; subtract the two single falls"
            return (
                f"for “{names[one]}” and “{names[two]}” it gives {answer:+.3f}, not "
                f"{expected:+.3f} nats{hint and ': ' + hint}."
            )


def attention_exercise_answers(seed: int) -> tuple[list[Prediction], list]:
    """Predictions with random attention, much of it where no fall is; and falls."""
    draw = torch.Generator().manual_seed(seed)
    answers, falls = [], []
    for position in range(5):
        weights_NHTS = torch.rand(3, 2, 8, 8, generator=draw)
        weights_NHTS[:, :, :, [0, 7]] += 1  # [CLS] and [SEP]
        weights_NHTS[:, :, position + 1, position + 1] += 2  # itself
        weights_NHTS /= weights_NHTS.sum(-1, keepdim=True)
        words = [f"word{i}" for i in range(6)]
        about = words, position, [("word", 0.5)], "word", 0.5, 1, None
        answers.append(Prediction(*about, weights_NHTS, [], 8))
        fall_W = torch.randn(6, generator=draw)
        fall_W[position] = 0
        falls.append(fall_W)
    return answers, falls


@exercise("5.3")
def grade_attention_pointer(best_pointer):
    for seed in range(6):
        answers, falls = attention_exercise_answers(seed)
        total = torch.zeros(3, 2)
        for answer, fall_W in zip(answers, falls, strict=True):
            share_NHW = answer.weights_NHTS[:, :, answer.position + 1, 1:-1].clone()
            share_NHW[..., answer.position] = -1
            total += fall_W[share_NHW.argmax(-1)]
        expected = divmod(int(total.argmax()), 2)
        given = best_pointer(answers, falls)
        if not isinstance(given, tuple | list) or len(given) != 2:
            return f"return a layer and a head, such as (0, 1), not {given!r}."
        if tuple(map(int, given)) != expected:
            return (
                f"on predictions with random attention it gives {given}, not "
                f"{expected}. Which tokens must not win, and does each share stand "
                "beside the fall of the same word?"
            )
