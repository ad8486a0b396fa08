"""What does the model know? Every validation word masked once, by what kind it is.

`python -m studies.attention.knowledge` asks two trained models, and the two guesses
from counts of studies.attention.references, for the same words with the same neighbours
in sight. Scores are by class of the word, by its place in the block, by its distance to
the nearest [UNK] and by its frequency; by distance also within the large classes, since
beside an [UNK] stand words of other classes than elsewhere. Then sentences that stand
alone are compared with the same words inside packed blocks. Left out: the test text.

Shapes: M masked words; the others as in helpers.evaluate. Losses are in nats a word.
"""

import time

import pandas as pd

from helpers.data import TrainingData
from helpers.evaluate import word_frequencies
from helpers.masking import evaluation_subsets
from helpers.tokenizer import SPECIALS
from studies.attention import tables
from studies.attention.figures import knowledge_figure
from studies.attention.references import bigram, bigram_guess, score_words
from studies.attention.tables import DIVISIONS, GUESSES, TRAINED
from studies.attention.words import CLASSES, describe, packed_places, word_classes
from studies.lab.command import RECORDS, command
from studies.lab.report import draw
from studies.lab.runs import lone_rows, read_run, recorded, shipped_models
from studies.lab.stats import CONFIDENCE, GROUP, RESAMPLES, bootstrap

MEASURES = "accuracy", "loss"
WITHIN = "function words", "punctuation", "other words"  # 92 % of all words
SUMMARY = RECORDS / "knowledge.json"

Scores = dict[str, pd.DataFrame]  # by measure: a row a word, a column a guess


def ask(guesses: dict, ids_BT, subset_BT, words: pd.DataFrame) -> Scores:
    """How each guess does on each masked word; `words` describes these.

    A model minus the bigram counts as a guess, so that its intervals are paired.
    """
    each = {name: score_words(guesses[name], ids_BT, subset_BT) for name in GUESSES}
    for name in TRAINED:
        minus = {m: each[name][m] - each["bigram"][m] for m in MEASURES}
        each[f"{name} minus bigram"] = minus
    return {
        m: pd.DataFrame({name: one[m] for name, one in each.items()}, words.index)
        for m in MEASURES
    }


def intervals(scores: pd.DataFrame, unit: pd.Series) -> dict[str, dict]:
    """The mean of each column with its interval.

    `unit` holds the unit of every word of the blocks, by place; all units are drawn,
    also those of which no word is among the scores.
    """
    groups, units = scores.groupby(unit), range(unit.max() + 1)
    sums = groups.sum().reindex(units, fill_value=0)
    return bootstrap(dict(sums), groups.size().reindex(units, fill_value=0))


def by_band(scores: Scores, words: pd.DataFrame, band: pd.Series) -> dict:
    """Number, share and scores of the words of each band."""
    return {
        name: {"words": len(own), "share": len(own) / len(words)}
        | {m: intervals(scores[m].loc[own.index], words["unit"]) for m in MEASURES}
        for name, own in words.groupby(band, observed=True)
    }


def compare(packed: Scores, alone: Scores, words, lone: pd.DataFrame) -> dict:
    """The words of lone sentences, alone and inside packed blocks, with intervals.

    `words` and `lone` describe the words of `packed` and `alone`, each at its place.
    """
    means = {"words": len(lone)} | {measure: {} for measure in MEASURES}
    for measure in MEASURES:
        for name, alone_M in alone[measure].items():
            frame = pd.DataFrame({"alone": alone_M})
            frame["packed"] = packed[measure][name]  # at the same places
            frame["alone minus packed"] = frame["alone"] - frame["packed"]
            means[measure][name] = intervals(frame, words["unit"])
    return means


def study(models: dict, tokenizer, corpus, length: int) -> dict:
    """Asks for every word, in packed blocks and in lone sentences, and adds up."""
    begun = time.perf_counter()
    data = TrainingData.prepare(tokenizer, corpus, length)
    chance_V = word_frequencies(data.stream, len(tokenizer))
    strength = bigram(data, len(tokenizer))["strength"]
    guesses = {
        "unigram": lambda ids_BT, at_BM: chance_V.log().expand(*at_BM.shape, -1),
        "bigram": bigram_guess(data.stream, chance_V, strength),
    } | models
    classes = word_classes(tokenizer.words, corpus.train)
    kinds = pd.Series(classes, tokenizer.words)[len(SPECIALS) :]  # frequent to rare
    vocabulary = {name: [*kinds.index[kinds == name]] for name in CLASSES}

    blocks = data.validation_BT, data.subset_BT
    words = describe(*blocks, packed_places(data.validation_BT), classes)
    packed = ask(guesses, *blocks, words)
    lone_BT, place_BT = lone_rows(tokenizer, corpus.validation, length)
    rows = lone_BT, evaluation_subsets(lone_BT)
    lone = describe(*rows, place_BT, classes)
    alone = ask(guesses, *rows, lone)

    first = words["subset"] == 0  # the words of references.json
    near = {name: words["unknown"].where(words["class"] == name) for name in WITHIN}
    return {
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
        "bands": {name: by_band(packed, words, words[name]) for name in DIVISIONS},
        "within": {name: by_band(packed, words, band) for name, band in near.items()},
        "alone": compare(packed, alone, words, lone),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def measure(models, tokenizer, corpus, source, path=SUMMARY) -> dict:
    """The record, which is made unless it is there.

    Takes what `shipped_models` returns. ValueError if the record is of other weights or
    of another text.
    """
    identity = source | {
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "blocks_in_a_group": GROUP,
    }
    length = models["dropout"].config.max_length
    return recorded(path, identity, read_run, study, models, tokenizer, corpus, length)


def main(arguments: list[str] | None = None) -> None:
    """Measures what is missing, then draws and prints."""
    about = "Mask every validation word once and score by kind, unless measured."
    parser = command("attention.knowledge", about)
    parser.parse_args(arguments)
    with parser.one_sentence():
        summary = measure(*shipped_models(*TRAINED))
        draw("knowledge.png", knowledge_figure(summary))
        for name in MEASURES:
            print(tables.knowledge_table(summary, name), end="\n\n")
        print(tables.alone_table(summary))


if __name__ == "__main__":
    main()
