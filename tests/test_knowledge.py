"""What the model knows: kinds of words, distances and sums against those by hand.

The guesses are held against helpers.evaluate and studies.attention.references, and the
committed record against the records of others.
"""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_model

from helpers import ROOT, record
from helpers.corpus import Corpus
from helpers.data import TrainingData, encode_lines, join, lone_sentences, pack
from helpers.evaluate import evaluate, unigram
from helpers.masking import evaluation_subsets
from helpers.tokenizer import CLS, PAD, SEP, SPECIALS, UNK, WordTokenizer, most_frequent
from studies.attention import knowledge
from studies.attention.references import bigram
from studies.figures import knowledge_figure
from studies.lab import runs
from studies.lab.stats import bootstrap
from studies.tables import DIVISIONS, GUESSES, alone_table, knowledge_table

LENGTH = 16
SIZE = knowledge.GROUP * (LENGTH - 1)
NOUNS = "cat dog king Mary Paris Mary".split()
LINES = [
    f"the {NOUNS[i % 6]} saw {NOUNS[(i * i) % 5]} , and it {verb} in zebra{i} {i % 7} ."
    for i in range(160)
    for verb in ("sat", "ran", "hid")
]
LINES[5::20] = ["= = The King of Paris = ="] * len(LINES[5::20])


@pytest.fixture(scope="module")
def corpus():
    return Corpus("toy", LINES[:240], LINES[240:], [])


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return WordTokenizer.train(corpus.train, 30)


@pytest.fixture(scope="module")
def data(tokenizer, corpus):
    return TrainingData.prepare(tokenizer, corpus, LENGTH)


@pytest.fixture(scope="module")
def models(tokenizer):
    return {
        name: tiny_model(len(tokenizer), seed)
        for seed, name in enumerate(knowledge.TRAINED)
    }


@pytest.fixture(scope="module")
def found(models, tokenizer, corpus):
    return knowledge.study(models, tokenizer, corpus, LENGTH)


@pytest.mark.parametrize(
    "word, expected",
    [
        ("the", "function words"),
        ("The", "function words"),
        ("I", "function words"),
        ("May", "function words"),  # the auxiliary counts first
        ("n't", "function words"),
        ("'s", "function words"),
        ("'", "punctuation"),  # no letter, though the list has it
        ("US", "names"),  # not the pronoun
        ("@-@", "punctuation"),
        ("%", "punctuation"),
        ("=", "heading marks"),
        ("1960", "digits"),
        ("20th", "digits"),
        ("km2", "digits"),
        ("Mary", "names"),
        ("U.S.", "names"),
        ("March", "other words"),  # a month
        ("King", "other words"),  # also a common noun
        ("seven", "other words"),
        ("However", "other words"),
    ],
)
def test_a_word_has_one_class(word, expected):
    names = frozenset({"Mary", "US", "U.S.", "March", "The"})
    assert knowledge.word_class(word, names) == expected
    assert expected in knowledge.RULES


def test_a_name_has_its_capital_in_mid_sentence():
    words = "Mary However King Paris Rose Only dog".split()
    lines = ["we saw Mary and Rose"] * 19 + ["However , we saw a rose"]
    lines += ["he saw a King , King of the king", "= The Only Paris ="]
    lines += ['he said " However , and ( However . However']
    # Rose: 19 of 20 in mid-sentence; Paris and Only stand in a heading only.
    assert knowledge.proper_names(words, lines) == {"Mary", "Rose"}
    assert knowledge.proper_names(words, lines + ["a rose"]) == {"Mary"}
    assert knowledge.proper_names(["Paris"], ["at Paris"]) == {"Paris"}
    assert knowledge.proper_names(["Paris"], ["Paris", ". Paris"]) == frozenset()
    assert knowledge.proper_names(["Paris"], ["yes , Paris"]) == {"Paris"}


def test_distance_to_unk_by_hand():
    ids_BT = torch.tensor(
        [
            [CLS, 5, UNK, 6, SEP, 7, 8, UNK],
            [CLS, 5, 6, 7, 8, 9, 5, 6],
            [CLS, UNK, UNK, 5, 6, SEP, PAD, PAD],
        ]
    )
    expected = [
        [2, 1, 0, 1, 2, 2, 1, 0],
        [8] * 8,  # none in this row, though the rows beside it have some
        [1, 0, 0, 1, 2, 3, 4, 5],
    ]
    assert knowledge.unknown_distance(ids_BT).tolist() == expected


def test_the_bigram_is_that_of_the_references(data, tokenizer):
    size = len(tokenizer)
    expected = bigram(data, size)
    prior_V = knowledge.prior(data.stream, size)
    guesses = {
        "unigram": knowledge.unigram_guess(prior_V),
        "bigram": knowledge.bigram_guess(data.stream, prior_V, expected["strength"]),
    }
    answers = knowledge.answers_of(guesses, data.validation_BT, data.subset_BT)
    places_BT = knowledge.packed_places(data.validation_BT)
    words = knowledge.described(data.validation_BT, data.subset_BT, places_BT)
    mine = knowledge.on_subset_0(answers, words)
    for key in ("loss", "accuracy"):
        assert mine["bigram"][key] == pytest.approx(expected[key], rel=1e-9)
    plain = unigram(data.stream, data.validation_BT, data.subset_BT, size)
    assert mine["unigram"] == pytest.approx(plain, rel=1e-9)
    assert expected["loss"] < plain["loss"] - 0.5


def test_a_model_is_asked_as_in_evaluate(models, data):
    """Also where rows are shorter than the longest, and for each subset."""
    lengths = torch.arange(len(data.validation_BT)) % 9 + 7
    beyond_BT = torch.arange(LENGTH) >= lengths[:, None]
    ids_BT = data.validation_BT.masked_fill(beyond_BT, PAD)
    subset_BT = evaluation_subsets(ids_BT)
    for model in models.values():
        answers = knowledge.ask(knowledge.model_guess(model), ids_BT, subset_BT)
        scored = evaluate(model, ids_BT, subset_BT, subsets=range(7))
        assert len(answers["loss"]) == scored["words"]
        for key in ("loss", "accuracy"):
            assert answers[key].mean() == pytest.approx(scored[key], rel=1e-5)
    # Word by word, in the order of the text: each subset alone.
    number_M = subset_BT[subset_BT >= 0].numpy()
    scored = evaluate(model, ids_BT, subset_BT, subsets=(3,))
    assert answers["loss"][number_M == 3].mean() == pytest.approx(scored["loss"])


def test_places_are_those_of_the_joined_text(tokenizer, corpus, data):
    stream = join(encode_lines(tokenizer, corpus.validation))
    ids_BT = data.validation_BT
    words = knowledge.described(ids_BT, data.subset_BT, knowledge.packed_places(ids_BT))
    assert stream[words["place"]].tolist() == words["id"].tolist()
    assert (np.diff(words["place"]) > 0).all()
    inside = words["place"] % (LENGTH - 1) + 1
    assert inside.tolist() == words["position"].tolist()


def test_sentences_are_found_where_they_stand():
    """Too short and too long ones lie between; the tail of one repeats the next."""
    again = "so it ran on ."
    lines = [
        f"Yes . the cat sat on it . {'very ' * 40}{again} {again} an end without mark",
        "= The cat sat . on it . =",
        f"{again} Why did it run ? No ! {again}",
    ]
    placed = knowledge.placed_sentences(lines)
    assert [sentence for sentence, _ in placed] == lone_sentences(lines)
    joined = [word for line in lines for word in (*line.split(), "[SEP]")]
    for sentence, place in placed:
        own = sentence.split()
        assert joined[place : place + len(own)] == own
    places = [place for _, place in placed]
    assert places == sorted(places) and len(set(places)) == 5
    assert places[1] == 2 + 6 + 45  # behind the long sentence, not in its tail


def test_lone_rows_are_those_of_the_dropout_study(tokenizer, corpus, data):
    ids_BT, place_BT = knowledge.lone_rows(tokenizer, corpus.validation, LENGTH)
    lines = sorted(lone_sentences(corpus.validation), key=lambda s: len(s.split()))
    rows = [
        [CLS, *tokenizer.encode(line.split()), SEP] for line in lines
    ]  # all shorter than a row
    rows = [row + [PAD] * (LENGTH - len(row)) for row in rows]
    assert ids_BT.tolist() == rows
    stream = join(encode_lines(tokenizer, corpus.validation))
    word_BT = (ids_BT != CLS) & (ids_BT != SEP) & (ids_BT != PAD)
    assert torch.equal(stream[place_BT[word_BT]], ids_BT[word_BT])


def whole(answers: dict, key: str) -> float:
    return sum(row["words"] * row["accuracy"][key]["mean"] for row in answers.values())


def adds_up(found: dict) -> None:
    """Each way to divide the words holds each of them once, and each right answer."""
    everything = found["bands"]["all"]["all words"]
    assert everything["words"] == found["words"] and everything["share"] == 1
    for division, rows in found["bands"].items():
        assert division in DIVISIONS
        assert sum(row["words"] for row in rows.values()) == found["words"]
        assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
        for name in GUESSES:
            right = found["words"] * everything["accuracy"][name]["mean"]
            assert right == pytest.approx(round(right), abs=1e-5)
            assert whole(rows, name) == pytest.approx(right, abs=1e-4)
    for kind, rows in found["within"].items():
        own = found["bands"]["class"][kind]
        assert sum(row["words"] for row in rows.values()) == own["words"]
        for name in GUESSES:
            right = own["words"] * own["accuracy"][name]["mean"]
            assert whole(rows, name) == pytest.approx(right, abs=1e-4)


def test_groups_add_up_to_the_whole(found, models, data):
    adds_up(found)
    assert found["words"] == int((data.subset_BT >= 0).sum())
    everything = found["bands"]["all"]["all words"]
    for name, model in models.items():
        args = model, data.validation_BT, data.subset_BT
        scored = evaluate(*args, subsets=range(7))
        for key in ("loss", "accuracy"):
            mean = everything[key][name]["mean"]
            assert mean == pytest.approx(scored[key], rel=1e-5)


def test_bands_by_hand():
    position = np.array([1, 3, 4, 15, 15, 8])
    words = {
        "id": np.array([5, 24, 25, 104, 105, 504]),
        "position": position,
        "unknown": np.array([1, 2, 4, 5, 9, 16]),
    }
    classes = ["names"] * 25 + ["digits"] * 480
    found = knowledge.bands(words, classes, 16)
    told = {
        division: [
            next(name for name, chosen_M in parts.items() if chosen_M[i])
            for i in range(6)
        ]
        for division, parts in found.items()
    }
    assert told["class"] == ["names"] * 2 + ["digits"] * 4
    assert told["quarter"] == [
        *["first quarter"] * 2,
        "second quarter",
        *["last quarter"] * 2,
        "third quarter",
    ]
    edges = ["first word", *["between them"] * 2, *["last word"] * 2, "between them"]
    assert told["edge"] == edges
    far = knowledge.FAR
    assert told["unknown"] == ["1", "2", "3 to 4", "5 to 8", far, far]
    ranks = ["1 to 20"] * 2 + ["21 to 100"] * 2 + ["101 to 500"] * 2
    assert told["rank"] == ranks
    later = knowledge.bands(words | {"id": words["id"] + 1}, [*classes, "digits"], 16)
    told = [[*chosen_M].count(True) for chosen_M in later["rank"].values()]
    assert told == [1, 2, 2, 1]  # 20 is followed by 21, and 500 by 501
    for parts in found.values():
        assert (np.sum([*parts.values()], axis=0) == 1).all()


def test_ids_are_ranks_by_frequency(tokenizer, corpus):
    assert tokenizer.words[len(SPECIALS) :] == most_frequent(corpus.train, 25)


@pytest.fixture
def answers():
    """Guesses of 4,000 words in 20 units; the units differ more than the guesses."""
    draw = np.random.default_rng(0)
    unit_M = np.repeat(np.arange(20), 200)
    ease_M = draw.normal(3, 1, 20)[unit_M]
    made = {}
    for i, name in enumerate(GUESSES):
        loss_M = ease_M + draw.normal(-0.1 * i, 0.1, len(unit_M))
        made[name] = {"loss": loss_M, "accuracy": (loss_M < 3).astype(float)}
    return made, unit_M


def test_a_difference_is_paired(answers):
    made, unit_M = answers
    chosen_M = np.arange(len(unit_M)) % 3 > 0
    found = knowledge.scores(made, chosen_M, unit_M, 20)
    assert found["words"] == chosen_M.sum()
    assert found["share"] == pytest.approx(chosen_M.mean())
    for measure in ("accuracy", "loss"):
        ours, base = (made[name][measure][chosen_M] for name in ("dropout", "bigram"))
        minus = found[measure]["dropout minus bigram"]
        assert minus["mean"] == pytest.approx((ours - base).mean())
        each = found[measure]["dropout"]
        assert each["mean"] == pytest.approx(ours.mean())
        assert each["low"] < each["mean"] < each["high"]
    # Units are hard or easy for all alike, which a paired difference does not see.
    loss = found["loss"]
    width = {name: value["high"] - value["low"] for name, value in loss.items()}
    assert width["dropout minus bigram"] < width["dropout"] / 10
    assert loss["dropout minus bigram"]["high"] < 0
    twin = made | {"dropout": made["bigram"]}
    same = knowledge.scores(twin, chosen_M, unit_M, 20)["loss"]["dropout minus bigram"]
    assert same == {"mean": 0, "low": 0, "high": 0}


def test_intervals_are_of_units_and_not_of_words(answers):
    made, unit_M = answers
    loss = knowledge.scores(made, unit_M >= 0, unit_M, 20)["loss"]["bigram"]
    units = {"bigram": made["bigram"]["loss"].reshape(20, 200).sum(1)}
    assert loss == pytest.approx(bootstrap(units, np.full(20, 200))["bigram"])


def test_sentences_are_compared_with_the_same_words(found, models, tokenizer, corpus):
    """By hand: each word of a sentence with itself inside a block."""
    ids_BT = pack(encode_lines(tokenizer, corpus.validation), LENGTH)
    subset_BT = evaluation_subsets(ids_BT)
    guess = knowledge.model_guess(models["dropout"])
    loss_M = knowledge.ask(guess, ids_BT, subset_BT)["loss"]
    inside, start = [], 0
    kept = [
        (line.split(), not line.startswith("=") and 5 <= len(line.split()) <= 40)
        for line in corpus.validation
    ]
    by_place = {}
    for value, place in zip(
        loss_M, knowledge.packed_places(ids_BT)[subset_BT >= 0].tolist(), strict=True
    ):
        by_place[place] = value
    for words, whole_line in kept:
        for i, word in enumerate(words):
            if whole_line and word in tokenizer.ids:
                inside.append(by_place[start + i])
        start += len(words) + 1
    alone = found["alone"]
    assert alone["words"] == len(inside) < found["words"]
    loss = alone["loss"]["dropout"]
    assert loss["packed"]["mean"] == pytest.approx(np.mean(inside), rel=1e-6)
    rows_BT, _ = knowledge.lone_rows(tokenizer, corpus.validation, LENGTH)
    scored = evaluate(
        models["dropout"], rows_BT, evaluation_subsets(rows_BT), subsets=range(7)
    )
    assert loss["alone"]["mean"] == pytest.approx(scored["loss"], rel=1e-5)
    minus = loss["alone"]["mean"] - loss["packed"]["mean"]
    assert loss["alone minus packed"]["mean"] == pytest.approx(minus)


def test_other_sentences_are_refused(answers):
    made, unit_M = answers
    words = {"place": np.arange(4_000), "id": np.full(4_000, 7)}
    knowledge.compare(made, made, words, words, 200)
    for key, value in (("id", 8), ("place", 9_000)):
        lone = {name: each.copy() for name, each in words.items()}
        lone[key][-1] = value
        with pytest.raises(ValueError, match="not of the text"):
            knowledge.compare(made, made, words, lone, 200)


@pytest.fixture
def quick(models, tokenizer, corpus, tmp_path, monkeypatch):
    """The study with tiny models, in a folder of its own; how often it measured."""
    made = []

    def study(*given):
        made.append(given)
        return {"words": 3}

    def load_model(path):
        return models[path.stem], tokenizer, {"corpus": "toy"}

    monkeypatch.setattr(runs, "require_wikitext", lambda: corpus)
    monkeypatch.setattr(runs, "load_model", load_model)
    monkeypatch.setattr(knowledge, "study", study)
    monkeypatch.setattr(knowledge, "SUMMARY", tmp_path / "knowledge.json")
    return made


def test_a_record_is_not_measured_again(quick):
    first = knowledge.measure()
    assert first["words"] == 3 and knowledge.measure() == first and len(quick) == 1


def test_a_record_of_other_weights_or_another_text_is_refused(
    quick, corpus, monkeypatch
):
    found = knowledge.measure()
    record.write(knowledge.SUMMARY, found | {"weights": {"dropout": "another"}})
    with pytest.raises(ValueError, match="another run: its weights is"):
        knowledge.measure()
    monkeypatch.setattr(runs, "require_wikitext", lambda: replace(corpus, name="W"))
    with pytest.raises(ValueError, match="are of toy, not W"):
        knowledge.measure()


@pytest.fixture(scope="module")
def summary():
    return record.read(knowledge.SUMMARY)


def within(kind: str) -> str:
    return f"positions to the nearest [UNK], {kind} only"


def cells(table: str) -> list[list[str]]:
    """The rows of a Markdown table, of one width."""
    rows = [line[2:-2].split(" | ") for line in table.splitlines()]
    assert len({len(row) for row in rows}) == 1
    return rows


def test_the_record_is_of_the_weights_and_adds_up(summary):
    for name, digest in summary["weights"].items():
        content = (ROOT / "weights" / f"{name}.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    adds_up(summary)
    assert sum(c["vocabulary"] for c in summary["classes"].values()) == 1_995
    assert {name: c["rule"] for name, c in summary["classes"].items()} == {
        **knowledge.RULES
    }
    assert summary["seconds"] > 0 and summary["hardware"]["device"]


def test_the_record_agrees_with_the_others(summary):
    """What the training runs and the references have measured of the same words."""
    references = record.read(ROOT / "plots" / "records" / "references.json")
    assert summary["bigram_strength"] == references["bigram"]["strength"]
    for name, scored in summary["subset_0"].items():
        for key, value in scored.items():
            assert value == pytest.approx(references[name][key], rel=1e-6)
    for name in knowledge.TRAINED:
        run = record.read(ROOT / "plots" / "records" / f"{name}.json")["validation"]
        packed = summary["bands"]["all"]["all words"]
        assert packed["words"] == run["packed"]["words"]
        assert summary["alone"]["words"] == run["sentences"]["words"]
        for key in ("loss", "accuracy"):
            mean = packed[key][name]["mean"]
            assert mean == pytest.approx(run["packed"][key], abs=2e-4)
            mean = summary["alone"][key][name]["alone"]["mean"]
            assert mean == pytest.approx(run["sentences"][key], abs=2e-4)


@pytest.mark.parametrize(
    "measure, scale, half", [("accuracy", 100, 0.051), ("loss", 1, 0.0051)]
)
def test_the_tables_tell_the_record(summary, measure, scale, half):
    title, _, *rows = cells(knowledge_table(summary, measure))
    assert len(title) == 3 + 4 + 2
    told = iter(rows)
    for division, parts in (summary["bands"] | summary["within"]).items():
        for i, (name, row) in enumerate(parts.items()):
            heading, kind, share, *numbers = next(told)
            assert (heading == "") == (i > 0) and kind == name
            assert not heading or heading == DIVISIONS.get(division, within(division))
            assert float(share.rstrip(" %")) == pytest.approx(
                100 * row["share"], abs=0.051
            )
            keys = [*GUESSES, "dropout minus bigram", "no_dropout minus bigram"]
            for key, number in zip(keys, numbers, strict=True):
                value = row[measure][key]
                ends = number.strip(")").replace(" (", " to ").split(" to ")
                expected = [scale * value[k] for k in ("mean", "low", "high")]
                assert [float(x) for x in ends] == pytest.approx(expected, abs=half)
    assert next(told, None) is None
    _, _, *rows = cells(alone_table(summary))
    column = {"accuracy": 3, "loss": 6}[measure]
    for row, name in zip(rows, GUESSES, strict=True):
        value = summary["alone"][measure][name]["alone minus packed"]["mean"]
        assert float(row[column].split()[0]) == pytest.approx(scale * value, abs=half)


def test_the_figure_has_a_dot_for_each_mean(summary):
    figure = knowledge_figure(summary)
    assert figure.get_size_inches()[0] <= 9
    parts = [summary["bands"][division] for division in ("class", "rank", "unknown")]
    parts.append(summary["within"]["function words"])
    for axes, rows in zip(figure.axes, parts, strict=True):
        dots = {line.get_label(): line for line in axes.lines}
        marks = {dots[label].get_marker() for label in GUESSES.values()}
        assert len(marks) == 4  # told apart without colour
        for name, label in GUESSES.items():
            values = [100 * row["accuracy"][name]["mean"] for row in rows.values()]
            assert [*dots[label].get_xdata()] == values
        labels = [label.get_text() for label in axes.get_yticklabels()]
        for name, label in zip(rows, labels, strict=True):
            assert label.startswith(name.split(", ")[0])
        low, high = axes.get_xlim()
        ends = [v for row in rows.values() for v in row["accuracy"]["dropout"].values()]
        assert low < min(ends) * 100 and max(ends) * 100 < high
