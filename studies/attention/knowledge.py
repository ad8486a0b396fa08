"""What does the model know? Every validation word masked once, by what kind it is.

`python -m studies.attention.knowledge` asks two trained models, and the two guesses
from counts of studies.attention.references, for the same words with the same neighbours
in sight: all seven subsets of helpers.evaluate. Scores are by class of the word, by its
place in the block, by its distance to the nearest [UNK] and by its frequency; by
distance also within the three large classes, because the words beside an [UNK] are of
other classes than those elsewhere. Finally, sentences that stand alone are compared
with the same words inside packed blocks. Left out: the test text, and whatever differs
between two trainings of one model.

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
from tqdm.auto import tqdm

from helpers import ROOT, record
from helpers.data import TrainingData, lone_sentences, pad
from helpers.evaluate import word_frequencies
from helpers.masking import evaluation_subsets
from helpers.tokenizer import SPECIALS, UNK
from studies.attention.figures import knowledge_figure
from studies.attention.references import (
    bigram,
    bigram_guess,
    Guess,
    score_words,
    unigram_guess,
)
from studies.attention.tables import GUESSES, TRAINED, alone_table, knowledge_table
from studies.attention.words import RULES, proper_names, word_class
from studies.lab.command import command
from studies.lab.report import draw
from studies.lab.runs import known, trained
from studies.lab.stats import CONFIDENCE, GROUP, RESAMPLES, bootstrap

SHORTEST, LONGEST = 5, 40  # words of a sentence that stands alone
QUARTERS = "first quarter", "second quarter", "third quarter", "last quarter"
EDGES = "first word", "last word", "between them"
DISTANCES = {1: "1", 2: "2", 4: "3 to 4", 8: "5 to 8", math.inf: "9 and more, or none"}
RANKS = {20: "1 to 20", 100: "21 to 100", 500: "101 to 500", math.inf: "501 and more"}
DIVISIONS = "all", "class", "quarter", "edge", "unknown", "rank"
WITHIN = "function words", "punctuation", "other words"  # 92 % of all words
SUMMARY = ROOT / "plots" / "records" / "knowledge.json"


def unknown_distance(ids_BT: Tensor) -> Tensor:
    """Positions from each token to the nearest [UNK] of its row, (B, T).

    0 at an [UNK] itself; the length of the row where there is none.
    """
    length = ids_BT.shape[1]
    at_T = torch.arange(length)
    apart_TS = (at_T[:, None] - at_T).abs()
    rows = [apart_TS.masked_fill(ids_S != UNK, length).amin(1) for ids_S in ids_BT]
    return torch.stack(rows)


def describe(ids_BT: Tensor, subset_BT: Tensor, place_BT: Tensor) -> pd.DataFrame:
    """One row for each word that is masked, in the order of `score_words`.

    Its id, its subset, its position in the row, the distance to the nearest [UNK]
    there, its place in the document, which is the number of its token in the joined
    text, and the unit of neighbouring blocks to which that belongs.
    """
    columns = {
        "id": ids_BT,
        "subset": subset_BT,
        "position": torch.arange(ids_BT.shape[1]).expand_as(ids_BT),
        "distance": unknown_distance(ids_BT),
        "place": place_BT,
        "unit": place_BT // (GROUP * (ids_BT.shape[1] - 1)),
    }
    return pd.DataFrame({name: x[subset_BT >= 0] for name, x in columns.items()})


def divide(words: pd.DataFrame, classes: list[str], length: int) -> pd.DataFrame:
    """To which band each word belongs, by each of `DIVISIONS`.

    `classes` holds the class of each id; quarters are of the block's `length`; the
    first and the last word are those behind [CLS] and at the end of a block.
    """
    position = words["position"]
    at_edge = [position == 1, position == length - 1]
    rank = words["id"] - len(SPECIALS) + 1  # ids go from frequent to rare

    def cut(values: pd.Series, names: dict) -> pd.Series:
        return pd.cut(values, [0, *names], labels=[*names.values()])

    bands = {
        "all": pd.Categorical(["all words"] * len(words)),
        "class": pd.Categorical(np.array(classes)[words["id"]], [*RULES]),
        "quarter": pd.Categorical.from_codes(position * 4 // length, QUARTERS),
        "edge": pd.Categorical(np.select(at_edge, EDGES[:2], EDGES[2]), EDGES),
        "unknown": cut(words["distance"], DISTANCES),
        "rank": cut(rank, RANKS),
    }
    return pd.DataFrame(bands)


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


def ask(guesses: dict[str, Guess], ids_BT: Tensor, subset_BT: Tensor) -> pd.DataFrame:
    """The scores of each masked word, a column for each measure and guess.

    A model minus the bigram is a guess too, so that its intervals are paired.
    """
    bar = tqdm(guesses.items(), leave=False, desc="guesses")
    scores = {name: score_words(guess, ids_BT, subset_BT) for name, guess in bar}
    columns = {}
    for measure in ("accuracy", "loss"):
        columns |= {(measure, name): scores[name][measure] for name in GUESSES}
        for name in TRAINED:
            minus = scores[name][measure] - scores["bigram"][measure]
            columns[measure, f"{name} minus bigram"] = minus
    return pd.DataFrame(columns)


def estimate(scores: pd.DataFrame, unit: pd.Series, count: int) -> dict:
    """The mean of each column with its interval, as a dict for each level of its name.

    `unit` says which of `count` units each word belongs to; these are resampled.
    """
    sums = scores.groupby(unit).sum().reindex(range(count), fill_value=0)
    sizes = unit.value_counts().reindex(range(count), fill_value=0)
    means: dict = {}
    for (*levels, last), mean in bootstrap(dict(sums.items()), sizes).items():
        level = means
        for name in levels:
            level = level.setdefault(name, {})
        level[last] = mean
    return means


def by_band(scores: pd.DataFrame, words: pd.DataFrame, band: pd.Series) -> dict:
    """Number, share and scores of the words of each band."""
    count = words["unit"].max() + 1
    return {
        name: {"words": len(chosen), "share": len(chosen) / len(words)}
        | estimate(chosen, words["unit"][chosen.index], count)
        for name, chosen in scores.groupby(band, observed=True)
    }


def compare(packed, alone, words: pd.DataFrame, lone: pd.DataFrame) -> dict:
    """The words of lone sentences, alone and inside packed blocks, with intervals.

    `words` and `lone` describe the scores in `packed` and `alone`. ValueError if a word
    of a sentence does not stand at its place in the blocks.
    """
    inside = pd.Index(words["place"]).get_indexer(lone["place"])
    if (inside < 0).any() or (words["id"].array[inside] != lone["id"]).any():
        raise ValueError("The sentences are not of the text in the blocks.")
    same = packed.iloc[inside].reset_index(drop=True)
    parts = {"alone": alone, "packed": same, "alone minus packed": alone - same}
    scores = pd.concat(parts, axis=1).reorder_levels([1, 2, 0], axis=1)
    count = words["unit"].max() + 1
    return {"words": len(lone)} | estimate(scores, lone["unit"], count)


def study(models: dict, tokenizer, corpus, length: int) -> dict:
    """Asks for every word, in packed blocks and in lone sentences, and adds up."""
    data = TrainingData.prepare(tokenizer, corpus, length)
    chance_V = word_frequencies(data.stream, len(tokenizer))
    strength = bigram(data, len(tokenizer))["strength"]
    guesses = {
        "unigram": unigram_guess(chance_V),
        "bigram": bigram_guess(data.stream, chance_V, strength),
    } | models
    places_BT = packed_places(data.validation_BT)
    words = describe(data.validation_BT, data.subset_BT, places_BT)
    packed = ask(guesses, data.validation_BT, data.subset_BT)
    lone_BT, places_BT = lone_rows(tokenizer, corpus.validation, length)
    subset_BT = evaluation_subsets(lone_BT)
    lone = describe(lone_BT, subset_BT, places_BT)
    alone = ask(guesses, lone_BT, subset_BT)

    names = proper_names(tokenizer.words, corpus.train)
    classes = [word_class(word, names) for word in tokenizer.words]
    vocabulary = pd.Series(tokenizer.words[len(SPECIALS) :])  # from frequent to rare
    own = {
        name: vocabulary[np.array(classes[len(SPECIALS) :]) == name] for name in RULES
    }
    bands = divide(words, classes, length)
    on_subset_0 = packed[words["subset"] == 0].mean()
    return {
        "words": len(words),
        "sentences": len(lone_BT),
        "resampled_groups": int(words["unit"].max()) + 1,
        "bigram_strength": strength,
        "classes": {
            name: {"rule": rule}
            | {"vocabulary": len(own[name]), "most_frequent": [*own[name][:10]]}
            for name, rule in RULES.items()
        },
        "subset_0": {
            name: {key: float(on_subset_0[key, name]) for key in ("accuracy", "loss")}
            for name in ("unigram", "bigram")
        },
        "bands": {name: by_band(packed, words, bands[name]) for name in bands},
        "within": {
            name: by_band(packed, words, bands["unknown"].where(bands["class"] == name))
            for name in WITHIN
        },
        "alone": compare(packed, alone, words, lone),
    }


def measure() -> dict:
    """Measures what the record would hold, unless it is there; returns the record.

    ValueError if the text is not the one that the models were trained on, or if the
    record is of other weights.
    """
    models, tokenizer, corpus, source = trained(*TRAINED)
    identity = source | {
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "blocks_in_a_group": GROUP,
    }
    if summary := known(SUMMARY, identity):
        return summary
    begun = time.perf_counter()
    length = models["dropout"].config.max_length
    summary = identity | study(models, tokenizer, corpus, length)
    summary["seconds"] = round(time.perf_counter() - begun, 1)
    record.write(SUMMARY, summary | {"hardware": record.hardware()})
    return record.read(SUMMARY)


def main(arguments: list[str] | None = None) -> None:
    """Measures what is missing, then draws and prints."""
    parser = command(
        "knowledge",
        "Mask every validation word once and score by kind of word; a record that is "
        "there is not measured again.",
    )
    parser.parse_args(arguments)
    with parser.one_sentence():
        summary = measure()
        draw("knowledge.png", knowledge_figure(summary))
        for measure_name in ("accuracy", "loss"):
            print(knowledge_table(summary, measure_name), end="\n\n")
        print(alone_table(summary))


if __name__ == "__main__":
    main()
