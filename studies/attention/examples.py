"""Four examples of what the model with dropout says, chosen by rule and not by looks.

`python -m studies.attention.examples` masks each word of the vocabulary in turn in the
short sentences of the validation split, and takes one prediction of each of four kinds:
a function word that is right, punctuation that is right, a date among dates that is
wrong, and a near miss. The record keeps one sentence for each, and how many others
would have fitted. Left out: sentences with more than two words outside the vocabulary.
"""

import re
import time
from collections.abc import Callable
from dataclasses import replace

import torch.nn.functional as F
from tqdm.auto import tqdm

from explorer.heatmap import sentence_heatmap
from explorer.predict import Prediction, fill_mask, mask_each
from helpers import ROOT, record
from helpers.data import lone_sentences
from helpers.figure import png
from helpers.files import write_whole
from studies.lab.command import command
from studies.lab.runs import shipped_models

SHORTEST, LONGEST, UNKNOWN = 10, 20, 2  # words of a sentence; outside the vocabulary
DATES = 3  # of the five best guesses, for a temporal confusion
MODEL = "dropout"
SUMMARY = ROOT / "plots" / "records" / "examples.json"

# The closed classes of English but for numerals, by part of speech; in lower case.
FUNCTION_WORDS = frozenset(
    # articles and other determiners
    "a an the this that these those each every either neither some any no all both "
    "half such what which whose another enough many much few several more most "
    # prepositions
    "about above across after against along alongside amid among around as at before "
    "behind below beneath beside between beyond by despite down during except for from "
    "in inside into like near of off on onto opposite out outside over past per since "
    "than through throughout to toward towards under underneath unlike until up upon "
    "via with within without "
    # pronouns
    "i me my mine myself you your yours yourself he him his himself she her hers "
    "herself it its itself we us our ours ourselves they them their theirs themselves "
    "one oneself who whom whoever whatever somebody someone something anybody anyone "
    "anything nobody none nothing everybody everyone everything other others there "
    # conjunctions
    "and or but nor yet so if because although though while whereas whether unless "
    "once when whenever where wherever how why "
    # auxiliaries
    "am is are was were be been being have has had having do does did can could may "
    "might must shall should will would "
    # particles
    "not n't 's '".split()
)
PUNCTUATION = frozenset(". , ; : ! ? ( ) [ ] \" ' - – — … /".split())
MONTHS = frozenset(
    "January February March April May June July August September October November "
    "December".split()
)
YEAR = re.compile(r"1[0-9]{3}|20[0-9]{2}")


def is_date(word: str) -> bool:
    """A month, or four digits that can be a year from 1000 to 2099."""
    return word in MONTHS or YEAR.fullmatch(word) is not None


def is_open_class(word: str) -> bool:
    """Letters only, no function word and no month."""
    closed = word.lower() in FUNCTION_WORDS or word in MONTHS
    return word.isalpha() and not closed


def function_word(found: Prediction) -> bool:
    """True where a function word is predicted right."""
    return found.true == found.pred and found.true.lower() in FUNCTION_WORDS


def punctuation(found: Prediction) -> bool:
    """True where punctuation is predicted right, but for the sentence's last mark."""
    last = found.position == len(found.words) - 1
    return found.true == found.pred and found.true in PUNCTUATION and not last


def temporal(found: Prediction) -> bool:
    """True where a date is predicted wrong and most of the best guesses are dates."""
    dates = sum(is_date(word) for word, _ in found.top)
    return is_date(found.true) and found.pred != found.true and dates >= DATES


def near_miss(found: Prediction) -> bool:
    """True where an open-class word is taken for another, not only in its case."""
    both = is_open_class(found.true) and is_open_class(found.pred)
    return both and found.true.lower() != found.pred.lower()


def median(fitting: list[Prediction]) -> Prediction:
    """The one of median probability; of two the lower, of equals the first."""
    ranked = sorted(fitting, key=lambda found: found.p_pred)
    return ranked[(len(ranked) - 1) // 2]


KINDS = {
    "function_word": (function_word, "a function word, predicted right"),
    "punctuation": (punctuation, "punctuation within a sentence, predicted right"),
    "temporal": (
        temporal,
        f"a month or a year, predicted wrong, with at least {DATES} months or years "
        "among the five best guesses",
    ),
    "near_miss": (
        near_miss,
        "an open-class word, predicted wrong as another one that differs not only in "
        "its case",
    ),
}
MEDIAN = "of all that fit, the lower median of the probability of the prediction"
CLOSEST = "of all that fit, the highest cosine of the output embeddings of both words"


def choose(kind: str, asked: list[Prediction], cosine: Callable) -> tuple:
    """The example of a kind, and how many would have fitted.

    `cosine` tells how near the true and the predicted word of one are; it decides on
    near misses only, and of equals takes the first. ValueError if none fits.
    """
    fits, _ = KINDS[kind]
    fitting = [found for found in asked if fits(found)]
    if not fitting:
        raise ValueError(f"No prediction is of the kind {kind}; take longer sentences.")
    if kind == "near_miss":
        return max(fitting, key=cosine), len(fitting)
    return median(fitting), len(fitting)


def ask(model, tokenizer, sentences: list[list[str]]) -> list[Prediction]:
    """Predictions of every word of the vocabulary, each masked alone, in order.

    Without attention and the probabilities of all words, to spare memory.
    """
    return [
        replace(found, chance_V=None, weights_NHTS=None)
        for words in tqdm(sentences, desc="sentences")
        for found in mask_each(model, tokenizer, words)
        if found.true is not None
    ]


def candidates(tokenizer, lines: list[str]) -> tuple[list[list[str]], dict]:
    """Short sentences with at most two words outside the vocabulary; and counts."""
    short = [line.split() for line in lone_sentences(lines, SHORTEST, LONGEST)]
    kept = [
        words
        for words in short
        if sum(word not in tokenizer.ids for word in words) <= UNKNOWN
    ]
    limits = {"shortest": SHORTEST, "longest": LONGEST, "unknown": UNKNOWN}
    return kept, limits | {"sentences": len(short), "candidates": len(kept)}


def described(kind: str, found: Prediction, fit: int, cosine: float) -> dict:
    """One entry of the record."""
    near = kind == "near_miss"
    rule = f"{KINDS[kind][1]}; {CLOSEST if near else MEDIAN}"
    entry = {"rule": rule, "fit": fit, "words": found.words}
    entry |= {"position": found.position, "true": found.true, "pred": found.pred}
    entry |= {"p_true": found.p_true, "top": [[word, p] for word, p in found.top]}
    return entry | ({"cosine": cosine} if near else {})


def study() -> None:
    """Chooses the four, writes their record and draws their heatmaps."""
    begun = time.perf_counter()
    models, tokenizer, corpus, source = shipped_models(MODEL)
    model = models[MODEL]
    sentences, counts = candidates(tokenizer, corpus.validation)
    asked = ask(model, tokenizer, sentences)
    words_VD = model.head.decoder.weight.detach()

    def cosine(found: Prediction) -> float:
        true_D, pred_D = (words_VD[tokenizer.ids[w]] for w in (found.true, found.pred))
        return F.cosine_similarity(true_D, pred_D, dim=0).item()

    kinds = {}
    for kind in KINDS:
        one, fit = choose(kind, asked, cosine)
        found = fill_mask(model, tokenizer, one.words, one.position)
        kinds[kind] = described(kind, found, fit, cosine(found))
        path = ROOT / "plots" / f"example_{kind}.png"
        write_whole(path, png(sentence_heatmap(found)))
    found = {
        "corpus": source["corpus"],
        "model": MODEL,
        "sentences": counts | {"asked": len(asked)},
    }
    found |= {"kinds": kinds, "seconds": round(time.perf_counter() - begun, 1)}
    record.write(SUMMARY, found | {"hardware": record.hardware()})


def main(arguments: list[str] | None = None) -> None:
    """Chooses, writes, draws."""
    about = "Choose four predictions by rule and draw where the model looked."
    parser = command("examples", about)
    parser.parse_args(arguments)
    with parser.one_sentence():
        study()


if __name__ == "__main__":
    main()
