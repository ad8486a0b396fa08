"""Four examples of what the model with dropout says, chosen by rule and not by looks.

Each word of the vocabulary is masked in turn in the short sentences of the validation
split, and one prediction of each kind is taken.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch.nn.functional as F
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from explorer.heatmap import sentence_heatmap
from explorer.predict import Prediction, fill_mask, predict_each
from helpers import ROOT
from helpers.checkpoint import load_model
from studies.attention.words import FUNCTION_WORDS, PUNCTUATION, is_date, is_open_class
from studies.lab.runs import RECORDS
from studies.lab.scored_text import scored_sentences
from studies.lab.study import Measurement
from studies.lab.timing import timed
from studies.shipped import shipped_models

SHORTEST, LONGEST, UNKNOWN = 10, 20, 2  # words of a sentence; outside the vocabulary
DATES = 3  # of the five best guesses, for a temporal confusion
MODEL = "dropout"
MEDIAN = "of all that fit, the lower median of the probability of the prediction"
CLOSEST = "of all that fit, the highest cosine of the output embeddings of both words"

KINDS = {  # which predictions fit, and in words by what rule one of them is chosen
    "function_word": (
        lambda p: p.true == p.pred and p.true.lower() in FUNCTION_WORDS,
        f"a function word, predicted right; {MEDIAN}",
    ),
    "punctuation": (
        lambda p: (
            p.true == p.pred and p.true in PUNCTUATION and p.position < len(p.words) - 1
        ),
        f"punctuation within a sentence, predicted right; {MEDIAN}",
    ),
    "temporal": (
        lambda p: (
            p.true != p.pred
            and is_date(p.true)
            and sum(is_date(word) for word, _ in p.top) >= DATES
        ),
        f"a month or a year, predicted wrong, with at least {DATES} months or years "
        f"among the five best guesses; {MEDIAN}",
    ),
    "near_miss": (
        lambda p: (
            all(map(is_open_class, (p.true, p.pred)))
            and p.true.lower() != p.pred.lower()
        ),
        "an open-class word, predicted wrong as another one that differs not only in "
        f"its case; {CLOSEST}",
    ),
}


def chosen_example(kind: str, predictions: list[Prediction], cosine: Callable) -> tuple:
    """The example of a kind, and how many predictions would have fitted.

    `cosine` tells how near the true and the predicted word of one are; it decides on
    near misses only. Of equals the first is taken.
    """
    fits, _ = KINDS[kind]
    fitting = [prediction for prediction in predictions if fits(prediction)]
    if kind == "near_miss":
        return max(fitting, key=cosine), len(fitting)
    ranked = sorted(fitting, key=lambda prediction: prediction.p_pred)
    return ranked[(len(ranked) - 1) // 2], len(fitting)


def example_predictions(model, tokenizer, sentences: list) -> list[Prediction]:
    """Predictions of every word of the vocabulary, each masked alone, in order.

    Without attention and the probabilities of all words, to spare memory.
    """
    return [
        replace(prediction, chance_V=None, weights_NHTS=None)
        for words in tqdm(sentences, desc="sentences")
        for prediction in predict_each(model, tokenizer, words)
        if prediction.true is not None
    ]


def example_candidates(tokenizer, lines: list[str]) -> tuple[list[list[str]], dict]:
    """Short sentences with at most two words outside the vocabulary; and counts."""
    short = [words for _, words in scored_sentences(lines, SHORTEST, LONGEST)]
    unknown = [sum(word not in tokenizer.ids for word in words) for words in short]
    kept = [w for w, n in zip(short, unknown, strict=True) if n <= UNKNOWN]
    limits = {"shortest": SHORTEST, "longest": LONGEST, "unknown": UNKNOWN}
    return kept, limits | {"sentences": len(short), "candidates": len(kept)}


def measure_examples() -> dict:
    """The record: the four, and by which rules they were chosen."""
    models, tokenizer, corpus, source = shipped_models(MODEL)
    model = models[MODEL]
    sentences, counts = example_candidates(tokenizer, corpus.validation)
    predictions = example_predictions(model, tokenizer, sentences)
    words_VD = model.head.decoder.weight.detach()

    def cosine(one: Prediction) -> float:
        true_D, pred_D = (words_VD[tokenizer.ids[w]] for w in (one.true, one.pred))
        return F.cosine_similarity(true_D, pred_D, dim=0).item()

    kinds = {}
    for kind, (_, rule) in KINDS.items():
        chosen, fit = chosen_example(kind, predictions, cosine)
        whole = fill_mask(model, tokenizer, chosen.words, chosen.position)
        kept = "words", "position", "true", "pred", "p_true", "top"
        kinds[kind] = {"rule": rule, "fit": fit}
        kinds[kind] |= {name: getattr(whole, name) for name in kept}
        if kind == "near_miss":
            kinds[kind]["cosine"] = cosine(whole)
    return {
        "corpus": source["corpus"],
        "model": MODEL,
        "sentences": counts | {"asked": len(predictions)},
        "kinds": kinds,
    }


def example_figure(summary: dict, kind: str) -> Figure:
    """Where the model looks in the example of a kind."""
    model, tokenizer, _ = load_model(ROOT / "weights" / f"{MODEL}.safetensors")
    chosen = summary["kinds"][kind]["words"], summary["kinds"][kind]["position"]
    return sentence_heatmap(fill_mask(model, tokenizer, *chosen))


STUDY = Measurement(
    "attention.examples",
    "Choose four predictions by rule and draw where the model looked.",
    RECORDS / "examples.json",
    partial(timed, measure_examples),
    figures={f"example_{k}.png": partial(example_figure, kind=k) for k in KINDS},
)
main = STUDY.main

if __name__ == "__main__":
    main()
