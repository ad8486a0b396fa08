"""What the model knows: kinds of words, guesses and sums against those by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import tiny_model

from helpers.corpus import Corpus
from helpers.data import TrainingData, encode_lines, join_lines
from helpers.evaluate import evaluate
from helpers.masking import mask_subsets
from helpers.record import read_record
from helpers.tokenizer import CLS, PAD, SEP, SPECIALS, UNK, WordTokenizer
from studies.attention import knowledge, words
from studies.attention.figures import knowledge_figure
from studies.attention.references import all_references, score_reference
from studies.attention.tables import GUESSES
from studies.lab.scored_text import scored_sentence_rows, scored_sentences
from studies.lab.stats import GROUP, bootstrap

LENGTH = 32
NOUNS = "cat dog king Mary Paris Mary".split()
LINES = [
    f"the {NOUNS[i % 6]} saw {NOUNS[(i * i) % 5]} , and it {verb} in zebra{i} {i % 7} ."
    for i in range(160)
    for verb in ("sat", "ran", "hid")
]
LINES[5::20] = ["= = The King of Paris = ="] * len(LINES[5::20])
CORPUS = Corpus("toy", LINES[:240], LINES[240:], [])
TOKENIZER = WordTokenizer.train(CORPUS.train, 30)
DATA = TrainingData.prepare(TOKENIZER, CORPUS, LENGTH)
MODELS = {n: tiny_model(len(TOKENIZER), i) for i, n in enumerate(knowledge.TRAINED)}
COMMITTED = knowledge.STUDY.read()


@pytest.fixture(scope="module")
def summary():
    source = {"weights": {"dropout": "these"}}
    return knowledge.measure_knowledge(MODELS, TOKENIZER, CORPUS, source)


@pytest.mark.parametrize(
    "kind, members",
    [
        ("function words", "the The I May n't 's"),  # the auxiliary counts first
        ("punctuation", "' @-@ %"),  # the first has no letter, though it is listed
        ("heading marks", "="),
        ("digits", "1960 20th km2"),
        ("names", "Mary U.S. US"),  # not the pronoun
        ("other words", "March King seven However"),  # a month, a common noun
    ],
)
def test_a_word_has_one_class(kind, members):
    names = frozenset({"Mary", "US", "U.S.", "March", "The"})
    assert {words.word_class(word, names) for word in members.split()} == {kind}


def test_a_name_has_its_capital_in_mid_sentence():
    asked = "Mary However King Paris Rose Only dog".split()
    lines = ["we saw Mary and Rose"] * 19 + ["However , we saw a rose"]
    lines += ["he saw a King , King of the king", "= The Only Paris ="]
    lines += ['he said " However , and ( However . However']
    # Rose: 19 of 20 in mid-sentence; Paris and Only stand in a heading only.
    assert words.proper_names(asked, lines) == {"Mary", "Rose"}
    lines += ["a rose", "Paris", ". Paris", "yes , King , King"]
    assert words.proper_names(asked, lines) == {"Mary"}
    assert words.proper_names(["King"], lines[-1:]) == {"King"}


def test_bands_by_hand():
    """One word asked in each of six rows; the id that follows is in the next band."""
    asked = [(1, 5, 2), (3, 24, 5), (4, 25, 7)]
    asked += [(15, 104, 7), (15, 105, 6), (8, 504, 0)]
    ids_BT, subset_BT = torch.full((6, 16), PAD), torch.full((6, 16), -1)
    for row, (position, word, unknown) in enumerate(asked):
        ids_BT[row, unknown] = UNK
        ids_BT[row, [0, position]] = torch.tensor([CLS, word])  # no [UNK] in the last
        subset_BT[row, position] = 0
    classes = ["names"] * 25 + ["digits"] * 481
    places_BT = words.packed_word_places(ids_BT)
    bands = words.describe_words(ids_BT, subset_BT, places_BT, classes)
    first, second, third, last = words.QUARTERS
    middle, far = "between them", "9 and more, or none"
    low, high, rare = "1 to 20", "21 to 100", "101 to 500"
    for division, expected in {
        "class": ["names"] * 2 + ["digits"] * 4,
        "quarter": [first, first, second, last, last, third],
        "edge": ["first word", middle, middle, "last word", "last word", middle],
        "unknown": ["1", "2", "3 to 4", "5 to 8", far, far],
        "rank": [low, low, high, high, rare, rare],
    }.items():
        assert [*bands[division]] == expected
    later = words.describe_words(ids_BT + 1 + subset_BT, subset_BT, ids_BT, classes)
    assert [*later["rank"]][1::2] == [high, rare, "501 and more"]


def test_words_stand_at_their_places():
    """In blocks and in sentences; some of these lie between long and short ones."""
    stream = join_lines(encode_lines(TOKENIZER, CORPUS.validation))
    classes, ids_BT = ["names"] * len(TOKENIZER), DATA.validation_BT
    places_BT = words.packed_word_places(ids_BT)
    asked = words.describe_words(ids_BT, DATA.subset_BT, places_BT, classes)
    assert stream[asked.index].tolist() == [*asked["id"]]
    assert [*asked["unit"]] == [*asked.index // (GROUP * (LENGTH - 1))]
    again = "so it ran on ."
    lines = [
        f"Yes . the cat sat on it . {'very ' * 40}{again} {again} an end without mark",
        "= The cat sat . on it . =",
        f"{again} Why did it run ? No ! {again}",
    ]
    tokenizer = WordTokenizer.train(lines, 40)
    stream = join_lines(encode_lines(tokenizer, lines))
    ids_BT, place_BT = scored_sentence_rows(tokenizer, lines, LENGTH)
    sentences = sorted((w for _, w in scored_sentences(lines, 5, 40)), key=len)
    for sentence, ids_T, place_T in zip(sentences, ids_BT, place_BT, strict=True):
        row = [CLS, *tokenizer.encode(sentence), SEP]
        assert ids_T.tolist() == row + [PAD] * (LENGTH - len(row))
        inside = slice(1, len(row) - 1)
        assert torch.equal(stream[place_T[inside]], ids_T[inside])
    assert len(place_BT[:, 1].unique()) == len(place_BT) == 5
    assert 2 + 6 + 45 in place_BT[:, 1]  # behind the long sentence, not in its tail


def adds_up(summary: dict) -> None:
    """Each way to divide the words holds each of them once, and each right answer."""
    everything = summary["bands"]["all"]["all words"]
    assert everything["words"] == summary["words"] and everything["share"] == 1
    wholes = {division: everything for division in summary["bands"]}
    wholes |= {kind: summary["bands"]["class"][kind] for kind in summary["within"]}
    for division, bands in (summary["bands"] | summary["within"]).items():
        whole = wholes[division]
        for key in ("words", "share"):
            total = sum(band[key] for band in bands.values())
            assert total == pytest.approx(whole[key])
        for name in GUESSES:
            parts = [whole, *bands.values()]
            right, *each = (x["words"] * x["accuracy"][name]["mean"] for x in parts)
            assert right == pytest.approx(round(right), abs=1e-5)
            assert sum(each) == pytest.approx(right, abs=1e-4)


def test_bands_add_up_to_the_whole(summary):
    adds_up(summary)
    counts = [kind["vocabulary"] for kind in summary["classes"].values()]
    assert sum(counts) == len(TOKENIZER) - len(SPECIALS)
    guesses = all_references(DATA, len(TOKENIZER))
    for name, scores in summary["subset_0"].items():
        assert scores == pytest.approx({key: guesses[name][key] for key in scores})
    everything = summary["bands"]["all"]["all words"]
    for name, model in MODELS.items():
        whole = evaluate(model, DATA.validation_BT, DATA.subset_BT, subsets=range(7))
        assert everything["words"] == whole["words"]
        for key in ("loss", "accuracy"):
            assert everything[key][name]["mean"] == pytest.approx(whole[key], rel=1e-5)


def test_intervals_are_of_units_and_not_of_words():
    """All units are drawn, also those of which no word is among the scores."""
    unit = pd.Series(np.repeat(np.arange(20), 200))
    loss_M = np.random.default_rng(0).normal(0, 1, (20, 200)) + np.arange(20)[:, None]
    frame, sums = pd.DataFrame({"loss": loss_M.flatten()}), loss_M.sum(1)
    sums[10:] = 0
    expected = bootstrap({"loss": sums}, np.repeat([200, 0], 10))["loss"]
    found = knowledge.knowledge_intervals(frame[:2_000], unit)
    assert found["loss"] == pytest.approx(expected)


def test_sentences_are_compared_with_the_same_words(summary):
    """By hand: each word of a sentence with itself inside a block."""
    model, blocks = MODELS["dropout"], (DATA.validation_BT, DATA.subset_BT)
    place_M = words.packed_word_places(blocks[0])[blocks[1] >= 0].tolist()
    loss = dict(zip(place_M, score_reference(model, *blocks)["loss"], strict=True))
    inside, start = [], 0
    for line in CORPUS.validation:
        tokens = line.split()
        if not line.startswith("=") and 5 <= len(tokens) <= 40:
            known = [i for i, word in enumerate(tokens) if word in TOKENIZER.ids]
            inside += [loss[start + i] for i in known]
        start += len(tokens) + 1
    alone = summary["alone"]
    assert alone["words"] == len(inside) < summary["words"]
    means = {part: x["mean"] for part, x in alone["loss"]["dropout"].items()}
    assert means["packed"] == pytest.approx(np.mean(inside), rel=1e-6)
    rows_BT, _ = scored_sentence_rows(TOKENIZER, CORPUS.validation, LENGTH)
    whole = evaluate(model, rows_BT, mask_subsets(rows_BT), subsets=range(7))
    assert means["alone"] == pytest.approx(whole["loss"], rel=1e-5)
    minus = means["alone"] - means["packed"]
    assert means["alone minus packed"] == pytest.approx(minus)


def test_the_committed_record_adds_up_and_agrees_with_the_others():
    """What the training runs and the references have measured of the same words."""
    adds_up(COMMITTED)
    rules = {name: kind["rule"] for name, kind in COMMITTED["classes"].items()}
    assert rules == words.CLASSES
    guesses = read_record(knowledge.STUDY.path.with_name("references.json"))
    assert COMMITTED["bigram_strength"] == guesses["bigram"].pop("strength")
    for name, scores in COMMITTED["subset_0"].items():
        assert scores == pytest.approx(guesses[name], rel=1e-6)
    packed, alone = COMMITTED["bands"]["all"]["all words"], COMMITTED["alone"]
    for name in knowledge.TRAINED:
        run = read_record(knowledge.STUDY.path.with_name(f"{name}.json"))["validation"]
        own = {"packed": packed["loss"][name]}
        own["sentences"] = alone["loss"][name]["alone"]
        for layout, interval in own.items():
            assert interval["mean"] == pytest.approx(run[layout]["loss"], abs=2e-4)


def test_the_figure_has_a_dot_for_each_mean():
    parts = [COMMITTED["bands"][division] for division in ("class", "rank", "unknown")]
    parts.append(COMMITTED["within"]["function words"])
    for axes, bands in zip(knowledge_figure(COMMITTED).axes, parts, strict=True):
        dots = {line.get_label(): line for line in axes.lines}
        for name, label in GUESSES.items():
            means = [100 * band["accuracy"][name]["mean"] for band in bands.values()]
            assert [*dots[label].get_xdata()] == means
        labels = [label.get_text() for label in axes.get_yticklabels()]
        for name, label in zip(bands, labels, strict=True):
            assert label.startswith(name.split(", ")[0])
