"""What does the model know? Every validation word masked once, by what kind it is.

Two trained models and two guesses from counts are asked for the same words with the
same neighbours in sight. Distances to an [UNK] count also within the large classes,
since beside an [UNK] stand words of other classes than elsewhere.

Shapes: M masked words; the others as in helpers.evaluate. Losses are in nats a word.
"""

from functools import partial

import pandas as pd

from helpers.data import TrainingData
from helpers.evaluate import word_frequencies
from helpers.masking import mask_subsets
from helpers.tokenizer import SPECIALS
from studies.attention import tables
from studies.attention.figures import knowledge_figure
from studies.attention.references import bigram_guess, bigram_reference, score_reference
from studies.attention.tables import DIVISIONS, GUESSES, TRAINED
from studies.attention.words import (
    CLASSES,
    describe_words,
    packed_word_places,
    proper_names,
    word_class,
)
from studies.lab.runs import RECORDS
from studies.lab.scored_text import scored_sentence_rows
from studies.lab.stats import CONFIDENCE, GROUP, RESAMPLES, bootstrap
from studies.lab.study import Measurement
from studies.lab.timing import timed
from studies.shipped import shipped_models

MEASURES = "accuracy", "loss"
WITHIN = "function words", "punctuation", "other words"  # 92 % of all words

Scores = dict[str, pd.DataFrame]  # by measure: a row a word, a column a guess


def knowledge_scores(guesses: dict, ids_BT, subset_BT, words: pd.DataFrame) -> Scores:
    """How each guess does on each masked word; `words` describes these.

    A model minus the bigram counts as a guess, so that its intervals are paired.
    """
    each = {name: score_reference(guesses[name], ids_BT, subset_BT) for name in GUESSES}
    for name in TRAINED:
        minus = {m: each[name][m] - each["bigram"][m] for m in MEASURES}
        each[f"{name} minus bigram"] = minus
    return {
        m: pd.DataFrame({name: one[m] for name, one in each.items()}, words.index)
        for m in MEASURES
    }


def knowledge_intervals(scores: pd.DataFrame, unit: pd.Series) -> dict[str, dict]:
    """The mean of each column with its interval.

    `unit` holds the unit of every word of the blocks, by place; all units are drawn,
    also those of which no word is among the scores.
    """
    groups, units = scores.groupby(unit), range(unit.max() + 1)
    sums = groups.sum().reindex(units, fill_value=0)
    return bootstrap(dict(sums), groups.size().reindex(units, fill_value=0))


def knowledge_by_band(scores: Scores, words: pd.DataFrame, band: pd.Series) -> dict:
    """Number, share and scores of the words of each band."""
    bands = {}
    for name, own in words.groupby(band, observed=True):
        bands[name] = {"words": len(own), "share": len(own) / len(words)}
        for measure in MEASURES:
            scored = scores[measure].loc[own.index]
            bands[name][measure] = knowledge_intervals(scored, words["unit"])
    return bands


def knowledge_alone(packed: Scores, alone: Scores, words, lone: pd.DataFrame) -> dict:
    """The words of lone sentences, alone and inside packed blocks, with intervals.

    `words` and `lone` describe the words of `packed` and `alone`, each at its place.
    """
    means = {"words": len(lone)} | {measure: {} for measure in MEASURES}
    for measure in MEASURES:
        for name, alone_M in alone[measure].items():
            frame = pd.DataFrame({"alone": alone_M})
            frame["packed"] = packed[measure][name]  # at the same places
            frame["alone minus packed"] = frame["alone"] - frame["packed"]
            means[measure][name] = knowledge_intervals(frame, words["unit"])
    return means


def measure_knowledge(models: dict, tokenizer, corpus, source: dict) -> dict:
    """The record: every word is asked for, in packed blocks and in lone sentences.

    Takes what `shipped_models` returns.
    """
    length = models["dropout"].config.max_length
    data = TrainingData.prepare(tokenizer, corpus, length)
    chance_V = word_frequencies(data.stream, len(tokenizer))
    strength = bigram_reference(data, len(tokenizer))["strength"]
    guesses = {
        "unigram": lambda ids_BT, at_BM: chance_V.log().expand(*at_BM.shape, -1),
        "bigram": bigram_guess(data.stream, chance_V, strength),
    } | models
    names = proper_names(tokenizer.words, corpus.train)
    classes = [word_class(word, names) for word in tokenizer.words]
    kinds = pd.Series(classes, tokenizer.words)[len(SPECIALS) :]  # frequent to rare
    vocabulary = {name: [*kinds.index[kinds == name]] for name in CLASSES}

    blocks = data.validation_BT, data.subset_BT
    words = describe_words(*blocks, packed_word_places(data.validation_BT), classes)
    packed = knowledge_scores(guesses, *blocks, words)
    lone_BT, place_BT = scored_sentence_rows(tokenizer, corpus.validation, length)
    rows = lone_BT, mask_subsets(lone_BT)
    lone = describe_words(*rows, place_BT, classes)
    alone = knowledge_scores(guesses, *rows, lone)

    first = words["subset"] == 0  # the words of references.json
    near = {name: words["unknown"].where(words["class"] == name) for name in WITHIN}
    return source | {
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "blocks_in_a_group": GROUP,
        "words": len(words),
        "sentences": len(lone_BT),
        "resampled_groups": int(words["unit"].max()) + 1,
        "bigram_strength": strength,
        "classes": {
            name: {"rule": rule}
            | {"vocabulary": len(own := vocabulary[name]), "most_frequent": own[:10]}
            for name, rule in CLASSES.items()
        },
        "subset_0": {
            name: {m: float(packed[m][name][first].mean()) for m in MEASURES}
            for name in ("unigram", "bigram")
        },
        "bands": {d: knowledge_by_band(packed, words, words[d]) for d in DIVISIONS},
        "within": {key: knowledge_by_band(packed, words, x) for key, x in near.items()},
        "alone": knowledge_alone(packed, alone, words, lone),
    }


STUDY = Measurement(
    "attention.knowledge",
    "Mask every validation word once and score it by its kind.",
    RECORDS / "knowledge.json",
    lambda: timed(measure_knowledge, *shipped_models(*TRAINED)),
    {
        "right": tables.knowledge_table,
        "loss": partial(tables.knowledge_table, measure="loss"),
        "alone": tables.knowledge_alone_table,
    },
    {"knowledge.png": knowledge_figure},
)
main = STUDY.main

if __name__ == "__main__":
    main()
