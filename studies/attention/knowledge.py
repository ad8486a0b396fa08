"""What does the model know? Every validation word masked once, by what kind it is.

`python -m studies.attention.knowledge` asks two trained models, and the two guesses
from counts of studies.attention.references, for the same words with the same neighbours
in sight. Scores are by class of the word, by its place in the block, by its distance to
the nearest [UNK] and by its frequency; by distance also within the three large classes,
because the words beside an [UNK] are of other classes than those elsewhere. Finally,
sentences that stand alone are compared with the same words inside packed blocks. Left
out: the test text, and whatever differs between two trainings of one model.

Shapes: M masked words; the others as in helpers.evaluate. Losses are in nats a word,
accuracies are shares.
"""

import math
import sys
import time

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from helpers import ROOT
from helpers.data import TrainingData, lone_sentences, pad
from helpers.evaluate import word_frequencies
from helpers.masking import evaluation_subsets
from helpers.tokenizer import SPECIALS, UNK
from studies.attention.figures import knowledge_figure
from studies.attention.references import (
    bigram,
    bigram_guess,
    score_words,
    unigram_guess,
)
from studies.attention.tables import GUESSES, TRAINED, alone_table, knowledge_table
from studies.attention.words import RULES, proper_names, word_class
from studies.lab.command import command
from studies.lab.report import draw
from studies.lab.runs import read_run, recorded, shipped_models
from studies.lab.stats import CONFIDENCE, GROUP, RESAMPLES, bootstrap

MEASURES = "accuracy", "loss"
SHORTEST, LONGEST = 5, 40  # words of a sentence that stands alone
QUARTERS = "first quarter", "second quarter", "third quarter", "last quarter"
EDGES = "first word", "last word", "between them"
DISTANCES = {1: "1", 2: "2", 4: "3 to 4", 8: "5 to 8", math.inf: "9 and more, or none"}
RANKS = {20: "1 to 20", 100: "21 to 100", 500: "101 to 500", math.inf: "501 and more"}
DIVISIONS = "all", "class", "quarter", "edge", "unknown", "rank"
WITHIN = "function words", "punctuation", "other words"  # 92 % of all words
SUMMARY = ROOT / "plots" / "records" / "knowledge.json"

Scores = dict[str, pd.DataFrame]  # by measure: a row a word, a column a guess


def unknown_distance(ids_BT: Tensor) -> Tensor:
    """Positions from each token to the nearest [UNK] of its row, (B, T).

    0 at an [UNK] itself; the length of the row where there is none.
    """
    length = ids_BT.shape[1]
    at_T = torch.arange(length)
    apart_TS = (at_T[:, None] - at_T).abs()
    rows = [apart_TS.masked_fill(ids_S != UNK, length).amin(1) for ids_S in ids_BT]
    return torch.stack(rows)


def describe(ids_BT, subset_BT, place_BT, classes: list[str]) -> pd.DataFrame:
    """One row for each word that is masked, in the order of `score_words`.

    By its place, the number of its token in the joined text: its id, its subset, the
    unit of neighbouring blocks in which it stands, and its band in each of `DIVISIONS`.
    `classes` holds the class of each id. The first and the last word are those behind
    [CLS] and at the end of a row.
    """
    length, asked_BT = ids_BT.shape[1], subset_BT >= 0
    id_M, place_M = ids_BT[asked_BT].numpy(), place_BT[asked_BT].numpy()
    position_M = asked_BT.nonzero()[:, 1].numpy()
    distance_M = unknown_distance(ids_BT)[asked_BT].numpy()
    at_edge = [position_M == 1, position_M == length - 1]

    def cut(values_M: np.ndarray, names: dict) -> pd.Categorical:
        return pd.cut(values_M, [0, *names], labels=[*names.values()])

    columns = {
        "id": id_M,
        "subset": subset_BT[asked_BT].numpy(),
        "unit": place_M // (GROUP * (length - 1)),
        "all": "all words",
        "class": pd.Categorical(np.array(classes)[id_M], [*RULES]),
        "quarter": pd.Categorical.from_codes(position_M * 4 // length, QUARTERS),
        "edge": pd.Categorical(np.select(at_edge, EDGES[:2], EDGES[2]), EDGES),
        "unknown": cut(distance_M, DISTANCES),
        "rank": cut(id_M - len(SPECIALS) + 1, RANKS),  # ids go from frequent to rare
    }
    return pd.DataFrame(columns, index=place_M)


def packed_places(ids_BT: Tensor) -> Tensor:
    """The number in the joined text of each token of packed blocks, (B, T)."""
    size = ids_BT.shape[1] - 1
    return torch.arange(len(ids_BT))[:, None] * size + torch.arange(-1, size)


def lone_rows(tokenizer, lines: list[str], length: int) -> tuple[Tensor, Tensor]:
    """Sentences standing alone, short to long, and the places of their tokens, (B, T).

    The rows that the dropout study scores. A place is the number of a token in the text
    that helpers.data.join makes of the lines.
    """
    placed, start = [], 0
    for line in lines:
        place = start
        for sentence in lone_sentences([line], 1, sys.maxsize):
            words = sentence.split()
            if SHORTEST <= len(words) <= LONGEST:
                placed.append((words, place))
            place += len(words)
        start += len(line.split()) + 1  # [SEP]
    placed.sort(key=lambda pair: len(pair[0]))
    ids_BT = pad([tokenizer.encode(words) for words, _ in placed], length)
    start_B = torch.tensor([place for _, place in placed])
    return ids_BT, start_B[:, None] + torch.arange(-1, length - 1)


def ask(guesses: dict, ids_BT, subset_BT, words: pd.DataFrame) -> Scores:
    """How each guess does on each masked word; `words` describes these.

    A model minus the bigram counts as a guess, so that its intervals are paired.
    """
    each = {name: score_words(x, ids_BT, subset_BT) for name, x in guesses.items()}
    scores = {}
    for measure in MEASURES:
        columns = {name: each[name][measure] for name in GUESSES}
        for name in TRAINED:
            columns[f"{name} minus bigram"] = columns[name] - columns["bigram"]
        scores[measure] = pd.DataFrame(columns, words.index)
    return scores


def intervals(scores: pd.DataFrame, unit: pd.Series) -> dict[str, dict]:
    """The mean of each column with its interval.

    `unit` holds the unit of every word of the blocks, by place; all units are drawn,
    also those of which no word is among the scores.
    """
    groups, units = scores.groupby(unit), range(unit.max() + 1)
    sums, sizes = (
        x.reindex(units, fill_value=0) for x in (groups.sum(), groups.size())
    )
    return bootstrap(dict(sums), sizes)


def by_band(scores: Scores, words: pd.DataFrame, band: pd.Series) -> dict:
    """Number, share and scores of the words of each band."""
    return {
        name: {"words": len(own), "share": len(own) / len(words)}
        | {m: intervals(scores[m].loc[own.index], words["unit"]) for m in MEASURES}
        for name, own in words.groupby(band, observed=True)
    }


def compare(packed: Scores, alone: Scores, words, lone: pd.DataFrame) -> dict:
    """The words of lone sentences, alone and inside packed blocks, with intervals.

    `words` and `lone` describe the words of `packed` and `alone`. ValueError if a word
    of a sentence does not stand at its place in the blocks.
    """
    if (words["id"].reindex(lone.index) != lone["id"]).any():
        raise ValueError("The sentences are not of the text in the blocks.")
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
        "unigram": unigram_guess(chance_V),
        "bigram": bigram_guess(data.stream, chance_V, strength),
    } | models
    names = proper_names(tokenizer.words, corpus.train)
    classes = [word_class(word, names) for word in tokenizer.words]
    vocabulary = {name: [] for name in RULES}  # from frequent to rare
    for word, name in [*zip(tokenizer.words, classes, strict=True)][len(SPECIALS) :]:
        vocabulary[name].append(word)

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
            name: {"rule": RULES[name], "vocabulary": len(own)}
            | {"most_frequent": own[:10]}
            for name, own in vocabulary.items()
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


def measure() -> dict:
    """The record, which is made unless it is there.

    ValueError if the text is not the one that the models were trained on, or if the
    record is of other weights.
    """
    models, tokenizer, corpus, source = shipped_models(*TRAINED)
    identity = source | {
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "blocks_in_a_group": GROUP,
    }
    text = tokenizer, corpus, models["dropout"].config.max_length
    return recorded(SUMMARY, identity, read_run, study, models, *text)


def main(arguments: list[str] | None = None) -> None:
    """Measures what is missing, then draws and prints."""
    parser = command(
        "attention.knowledge",
        "Mask every validation word once and score by kind of word; a record that is "
        "there is not measured again.",
    )
    parser.parse_args(arguments)
    with parser.one_sentence():
        summary = measure()
        draw("knowledge.png", knowledge_figure(summary))
        for name in MEASURES:
            print(knowledge_table(summary, name), end="\n\n")
        print(alone_table(summary))


if __name__ == "__main__":
    main()
