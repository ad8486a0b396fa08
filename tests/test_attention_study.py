"""The attention study against sums by hand, and the rules by which examples are chosen.

The records in plots/ are drawn and set as tables, so that they fit what reads them.
"""

import copy
import hashlib
import itertools
import math
import statistics

import numpy as np
import pytest
import torch
from tiny import tiny_model

from explorer.predict import Prediction, fill_mask
from helpers import ROOT, record
from helpers.corpus import Corpus
from helpers.data import TrainingData
from helpers.evaluate import evaluate
from helpers.masking import evaluation_subsets
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, UNK, WordTokenizer
from studies.attention import erasure as attention
from studies.attention import examples
from studies.attention.figures import erasure_figure, heads_figure
from studies.lab import runs
from studies.lab.stats import bootstrap
from studies.tables import erasure_table, heads_table, layers_table, looked_at

WORDS = "the cat dog sat on a mat and . ran to it".split()
TOKENIZER = WordTokenizer([*SPECIALS, *WORDS])
# The masked word, its place, and the places of the others that count. A word outside
# the vocabulary stands beside the first one, so that its nearest is on one side only;
# the second has two outside, and so two others at the same distance.
ASKED = [
    ("the cat zebra sat on a mat .".split(), 3, [0, 1, 4, 5, 6, 7]),
    (
        "it ran and giraffe dog zebra sat on the mat .".split(),
        4,
        [0, 1, 2, 6, 7, 8, 9, 10],
    ),
]
NEAREST = [[4], [2, 6]]


@pytest.fixture(scope="module")
def model():
    return tiny_model(len(TOKENIZER), seed=1)


@pytest.fixture(scope="module")
def data():
    """Blocks of random words with [SEP] between; the last group is a small one."""
    draw = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(len(SPECIALS), len(TOKENIZER), (37, 16), generator=draw)
    ids_BT[:, 0] = CLS
    ids_BT[torch.rand(ids_BT.shape, generator=draw) < 0.1] = SEP
    ids_BT[:20, 8:][torch.rand(20, 8, generator=draw) < 0.5] = UNK
    subset_BT = evaluation_subsets(ids_BT)
    return TrainingData(ids_BT.flatten(), ids_BT, subset_BT, ids_BT, subset_BT)


@torch.no_grad()
def forward(model, words, hidden):
    """Log-probabilities at the first hidden position, special tokens struck out, and
    its row of attention weights (N, S) by layer, then of rollout (S)."""
    ids = [CLS, *(TOKENIZER.ids.get(w, UNK) for w in words), SEP]
    for position in hidden:
        ids[1 + position] = MASK
    logits, weights = model(torch.tensor([ids]), need_weights=True)
    scores = logits[0, 1 + hidden[0]].double()
    scores[: len(SPECIALS)] = -math.inf
    layers = weights[0].mean(1)
    one = torch.eye(len(ids))
    followed = ((layers[1] + one) / 2) @ ((layers[0] + one) / 2)
    rows = [*layers[:, 1 + hidden[0]], followed[1 + hidden[0]]]
    return scores.log_softmax(-1), [row.tolist() for row in rows]


def by_hand(model, words, position, others):
    """Falls of the log-probability by position, and attention of three views."""
    true = TOKENIZER.ids[words[position]]
    intact, rows = forward(model, words, [position])
    falls = {
        other: (intact[true] - forward(model, words, [position, other])[0][true]).item()
        for other in others
    }
    return falls, dict(zip(("layer 1", "layer 2", "rollout"), rows, strict=True))


def test_the_erasure_test_is_that_of_a_sum_by_hand(model):
    found = attention.erasure(model, TOKENIZER, [asked[:2] for asked in ASKED])
    total, differences, beside, outside = {}, {}, {}, 0
    for (words, position, others), near in zip(ASKED, NEAREST, strict=True):
        falls, rows = by_hand(model, words, position, others)
        for measure, of in (("fall", lambda x: x), ("size", abs)):
            values = {other: of(fall) for other, fall in falls.items()}
            random = sum(values.values()) / len(others)
            nearest = sum(values[i] for i in near) / len(near)
            rules = {"random": random, "nearest": nearest}
            rules["largest"] = max(values.values())
            for view, row in rows.items():
                most = max(others, key=lambda i: row[i + 1])
                rules[f"{view} most"] = values[most]
                rules[f"{view} least"] = values[min(others, key=lambda i: row[i + 1])]
                beside[view] = beside.get(view, 0) + (abs(most - position) == 1) / 2
                outside += row.index(max(row)) - 1 not in others
            for rule, value in rules.items():
                total[measure, rule] = total.get((measure, rule), 0) + value / 2
    assert outside  # the most attended token of all is often no word to be ranked
    for (measure, rule), mean in total.items():
        assert found[measure][rule]["mean"] == pytest.approx(mean, abs=2e-5), rule
    for view in ("layer 1", "layer 2", "rollout"):
        for other in ("random", "nearest", f"{view} least"):
            name = f"{view} most minus {other.split()[-1]}"
            differences = total["fall", f"{view} most"] - total["fall", other]
            assert found["fall"][name]["mean"] == pytest.approx(differences, abs=2e-5)
        assert found["adjacent"][view] == pytest.approx(beside[view] / 2)
    # One of six others is beside the first masked word, none beside the second.
    assert found["adjacent"]["random"] == pytest.approx(1 / 12)


def test_the_correlation_is_by_sentence(model):
    found = attention.erasure(model, TOKENIZER, [asked[:2] for asked in ASKED])
    expected = {}
    for words, position, others in ASKED:
        falls, rows = by_hand(model, words, position, others)
        for view, row in rows.items():
            ranks = [
                np.argsort(np.argsort(x))
                for x in ([row[i + 1] for i in others], [falls[i] for i in others])
            ]
            expected.setdefault(view, []).append(np.corrcoef(*ranks)[0, 1])
    for view, values in expected.items():
        spread = found["correlation"][view]
        assert spread["median"] == pytest.approx(statistics.fmean(values))
        assert spread["positive"] == sum(v > 0 for v in values) / 2
        assert spread["sentences"] == 2
    spread = attention.spread([None, 0.5, -0.5, 0.1])
    assert (spread["sentences"], spread["median"]) == (3, 0.1)
    assert spread["quartiles"] == pytest.approx([-0.2, 0.3])
    assert spread["positive"] == pytest.approx(2 / 3)


def test_what_is_no_word_of_the_vocabulary_is_not_erased(model, monkeypatch):
    """Its loss would be a hundred nats, and none of it is seen."""
    words, position, others = ASKED[0]

    def without_words(model, tokenizer, prediction):
        chance_W = torch.full((len(words),), 1e-30)
        chance_W[[*others, position]] = 0.5
        return chance_W

    monkeypatch.setattr(attention, "without_words", without_words)
    found = attention.erase(model, TOKENIZER, words, position)
    assert set(found["fall"].values()) == set(found["size"].values()) == {0.0}


def test_a_bootstrap_is_the_same_each_time_and_covers_the_mean():
    draw, covered = np.random.default_rng(1), 0
    for _ in range(200):
        values = {"x": draw.normal(3, 2, 40).tolist()}
        found = bootstrap(values, resamples=500)
        assert found == bootstrap(values, resamples=500)
        assert found["x"]["mean"] == pytest.approx(statistics.fmean(values["x"]))
        covered += found["x"]["low"] < 3 < found["x"]["high"]
    assert 0.89 < covered / 200 < 0.98
    width = found["x"]["high"] - found["x"]["low"]
    expected = 2 * 1.96 * statistics.pstdev(values["x"]) / 40**0.5
    assert width == pytest.approx(expected, rel=0.15)


def test_a_bootstrap_is_paired_and_weighs_units_by_size():
    one = np.random.default_rng(0).normal(0, 9, 30)
    found = bootstrap({"one": one, "other": one + 1, "minus": one + 1 - one})
    assert found["minus"] == pytest.approx({"mean": 1, "low": 1, "high": 1})
    assert found["one"]["high"] - found["one"]["low"] > 3
    sizes = np.arange(1, 31)
    found = bootstrap({"loss": 2.5 * sizes, "first": sizes == 1}, sizes)
    assert found["loss"] == pytest.approx({"mean": 2.5, "low": 2.5, "high": 2.5})
    assert found["first"]["mean"] == pytest.approx(1 / sizes.sum())


def zeroed(model, off):
    """A copy in which the output projection does not read the heads (n, h) in `off`."""
    other = copy.deepcopy(model)
    for n, h in off:
        with torch.no_grad():
            other.blocks[n].attention.output.weight[:, 8 * h : 8 * h + 8] = 0
    return other


def test_a_head_that_is_off_is_one_that_is_not_read(model, data):
    found = attention.heads(model, data)
    score = {
        name: evaluate(zeroed(model, off), data.validation_BT, data.subset_BT)
        for name, off in {
            "intact": [],
            "layer 1 head 2": [(0, 1)],
            "layer 2 head 1": [(1, 0)],
            "layer 2": [(1, 0), (1, 1)],
        }.items()
    }
    intact = score.pop("intact")
    assert found["words"] == intact["words"]
    assert found["loss"] == pytest.approx(intact["loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(intact["accuracy"])
    assert found["groups"] == 3  # 16, 16 and 5 blocks, with unlike numbers of words
    rows = found["heads"] | found["layers"]
    assert len(found["heads"]) == 4 and len(found["layers"]) == 2
    for name, other in score.items():
        cost = rows[name]["cost"]
        assert cost["mean"] == pytest.approx(other["loss"] - intact["loss"], abs=1e-5)
        assert abs(cost["mean"]) > 1e-3 and cost["low"] <= cost["mean"] <= cost["high"]
        assert rows[name]["accuracy"] == pytest.approx(other["accuracy"])
    costs = [row["cost"]["mean"] for row in found["heads"].values()]
    peaks = [row["looks"]["peak"] for row in found["heads"].values()]
    ranks = [np.argsort(np.argsort(values)) for values in (costs, peaks)]
    assert found["peak_and_cost"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_the_gaze_of_a_head_is_that_of_masked_positions(model, data):
    found = attention.gaze(model, data)
    names = {-3: "-3", -2: "-2", -1: "-1", 0: "self", 1: "+1", 2: "+2", 3: "+3"}
    total = dict.fromkeys([*names.values(), "[CLS]", "[SEP]", "peak"], 0.0)
    count = 0
    for ids, subset in zip(data.validation_BT, data.subset_BT, strict=True):
        inputs = ids.masked_fill(subset == 0, MASK)
        with torch.no_grad():
            weights = model(inputs[None], need_weights=True)[1][0, 1, 0]
        for at in (subset == 0).nonzero().flatten().tolist():
            row, count = weights[at].tolist(), count + 1
            for offset, name in names.items():
                if 0 <= at + offset < len(ids):
                    total[name] += row[at + offset]
            for name, token in (("[CLS]", CLS), ("[SEP]", SEP)):
                total[name] += sum(row[i] for i in range(len(ids)) if ids[i] == token)
            total["peak"] += max(row)
    assert found.keys() == total.keys()
    for name, mean_NH in found.items():
        assert mean_NH[1, 0].item() == pytest.approx(total[name] / count, abs=1e-5)


def test_sentences_are_chosen_at_equal_distances():
    """Those with fewer than five words beside the masked one are left out before."""
    good = "the cat sat on it and ran to the {} ."
    lines = [good.format(i) for i in range(30)]
    lines[3] = "the cat sat on it x x x x ."  # six in all: five beside the masked one
    lines[4] = "the cat sat on x x x x x ."  # five in all
    lines += ["the cat sat .", "= = heading = ="]  # too short, and no running text
    chosen, counts = attention.choose(TOKENIZER, lines, 10)
    kept = [line.split() for i, line in enumerate(lines[:30]) if i != 4]
    assert [words for words, _ in chosen] == [kept[i * 29 // 10] for i in range(10)]
    assert counts["found"] == 30
    assert counts["left_out"] == {"too_few_words": 1, "between_chosen": 19}
    assert all(words[position] in WORDS for words, position in chosen)
    assert len({position for _, position in chosen}) > 2
    assert attention.choose(TOKENIZER, lines, 10)[0] == chosen


def test_shuffled_words_are_the_same_words():
    words = "the cat sat on a mat and ran to it .".split()
    orders = [attention.shuffled(words, 5, number) for number in range(5)]
    for mixed, position in orders:
        assert sorted(mixed) == sorted(words)
        assert mixed != words and mixed[position] == "mat"
    assert len({tuple(mixed) for mixed, _ in orders}) == 5
    twice = [attention.shuffled(["a", "a", "b"], 1, number)[1] for number in range(20)]
    assert set(twice) == {0, 1, 2}  # the second "a", wherever it goes


@pytest.fixture
def quick(model, tmp_path, monkeypatch):
    """The study with tiny models and parts that take no time; what it has made."""
    made = []

    def part(test):
        def make(model, text):
            made.append(test)
            if len(made) == 4:
                raise KeyboardInterrupt
            return {"seen": len(text) if test == "erasure" else 0}

        return make

    lines = [" ".join(words) for words, _, _ in ASKED]
    corpus = Corpus("toy", 2 * lines, lines, lines)  # a block is longer than the lines
    info = {"corpus": "toy"}
    monkeypatch.setattr(runs, "require_wikitext", lambda: corpus)
    monkeypatch.setattr(runs, "load_model", lambda path: (model, TOKENIZER, info))
    chosen = [asked[:2] for asked in ASKED], {"chosen": 2}
    monkeypatch.setattr(attention, "choose", lambda tokenizer, lines: chosen)
    monkeypatch.setattr(attention, "SUMMARY", tmp_path / "attention.json")
    erasure, heads = part("erasure"), part("heads")
    monkeypatch.setattr(
        attention, "erasure", lambda m, tokenizer, text: erasure(m, text)
    )
    monkeypatch.setattr(attention, "heads", heads)
    return made


def test_parts_that_are_made_are_not_made_again(quick):
    with pytest.raises(KeyboardInterrupt):
        attention.measure()
    found = record.read(attention.SUMMARY)
    assert [*found["erasure"]] == ["dropout", "no_dropout", "untrained"]
    found = attention.measure()
    assert quick == ["erasure"] * 5 + ["heads"] * 3
    assert [*found["heads"]] == ["dropout", "no_dropout", "untrained"]
    assert found["erasure"]["shuffled"]["seen"] == 2
    assert attention.measure() == found and len(quick) == 8


def test_a_record_of_other_weights_is_refused(quick, monkeypatch):
    quick += [None] * 4
    found = attention.measure()
    record.write(attention.SUMMARY, found | {"weights": {"dropout": "another"}})
    with pytest.raises(ValueError, match="another run: its weights is"):
        attention.measure()
    corpus = Corpus("WikiText-2", [], [], [])
    monkeypatch.setattr(runs, "require_wikitext", lambda: corpus)
    with pytest.raises(ValueError, match="are of toy, not WikiText-2"):
        attention.measure()


@pytest.fixture(scope="module")
def summary():
    return record.read(attention.SUMMARY)


def cells(table: str) -> list[list[str]]:
    """The rows of a Markdown table, of one width."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert len({len(row) for row in rows}) == 1
    return rows


def test_the_record_is_of_the_weights_and_says_of_what(summary):
    for name, digest in summary["weights"].items():
        content = (ROOT / "weights" / f"{name}.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    counts = summary["sentences"]
    left_out = sum(counts["left_out"].values())
    assert counts["found"] == counts["chosen"] + left_out
    for part in (*summary["erasure"].values(), *summary["heads"].values()):
        assert part["seconds"] > 0 and part["hardware"]["device"]
    assert {part["sentences"] for part in summary["erasure"].values()} == {1_000}


def test_the_erasure_table_tells_the_record(summary):
    rows = {row[0]: row[1:] for row in cells(erasure_table(summary))}
    names = "dropout", "no_dropout", "untrained", "shuffled"
    parts = [summary["erasure"][name] for name in names]
    for label, key in (
        ("most attended, last layer", "layer 4 most"),
        ("most attended, rollout", "rollout most"),
        ("nearest word", "nearest"),
        ("most minus nearest, last layer", "layer 4 most minus nearest"),
    ):
        for cell, part in zip(rows[label], parts, strict=True):
            mean, low, high = (
                float(x) for x in cell.strip(")").replace(" (", " to ").split(" to ")
            )
            found = part["fall"][key]
            assert [mean, low, high] == pytest.approx(
                [found["mean"], found["low"], found["high"]], abs=0.0051
            )
    size = rows["without its sign: nearest word"][3].split()[0]
    assert float(size) == pytest.approx(parts[3]["size"]["nearest"]["mean"], abs=0.0051)
    by_layer = cells(layers_table(summary))
    assert len(by_layer) == 2 + 2 * 5
    median = parts[1]["correlation"]["layer 2"]["median"]
    assert [
        row[-1] for row in by_layer if row[:2] == ["without dropout", "layer 2"]
    ] == [f"{median:.2f}"]


def test_the_heads_table_tells_the_record(summary):
    rows = {row[0]: row[1:] for row in cells(heads_table(summary))}
    assert len(rows) == 2 + 3
    part = summary["heads"]["no_dropout"]
    heads = part["heads"]
    best = max(heads, key=lambda head: heads[head]["cost"]["mean"])
    loss, costly, median, lowest, _, _, peak, *layers = rows["without dropout"]
    assert loss == f"{part['loss']:.3f}"
    assert costly.startswith(f"{best}: {heads[best]['cost']['mean']:+.3f} (")
    costs = sorted(head["cost"]["mean"] for head in heads.values())
    assert median == f"{(costs[15] + costs[16]) / 2:+.3f}"
    assert lowest == f"{costs[0]:+.3f}"
    assert float(peak) == pytest.approx(part["peak_and_cost"], abs=0.0051)
    assert layers[2] == f"{part['layers']['layer 3']['cost']['mean']:+.3f}"
    costs = [head["cost"] for head in summary["heads"]["dropout"]["heads"].values()]
    assert int(rows["with dropout"][4]) == sum(cost["low"] > 0 for cost in costs)
    assert int(rows["with dropout"][5]) == sum(cost["high"] < 0 for cost in costs)


def test_a_head_looks_at_one_target_or_spreads():
    looks = {"-1": 0.3, "self": 0.1, "+1": 0.2, "[CLS]": 0.0, "[SEP]": 0.0}
    assert looked_at(looks | {"peak": 0.9}) == "−1 30 %"
    assert looked_at(looks | {"[SEP]": 0.42, "peak": 0.9}) == "[SEP] 42 %"
    assert looked_at({"-1": 0.09, "+1": 0.08, "peak": 0.9}) == "spread"


def test_the_erasure_figure_has_a_dot_for_each_mean(summary):
    panels = erasure_figure(summary).axes
    dots = [
        [line for line in axes.lines if len(line.get_xdata()) == 7] for axes in panels
    ]
    assert [len(lines) for lines in dots] == [2, 1, 1]
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    row = labels.index("most attended, last layer")
    for line, name in zip(
        sum(dots, []), ("dropout", "no_dropout", "untrained", "shuffled"), strict=True
    ):
        found = summary["erasure"][name]["fall"]["layer 4 most"]
        assert line.get_xdata()[row] == found["mean"]
    low, high = panels[0].get_xlim()
    ends = [
        value
        for part in summary["erasure"].values()
        for rule in ("largest", "nearest", "layer 4 most", "rollout most")
        for value in part["fall"][rule].values()
    ]
    assert low < min(ends) and high > max(ends)
    assert {axes.get_xlim() for axes in panels} == {(low, high)}


def test_the_heads_figure_has_a_number_in_each_cell(summary):
    figure = heads_figure(summary)
    panels = [axes for axes in figure.axes if len(axes.texts) > 1]
    assert [len(axes.texts) for axes in panels] == [2 * 32] * 3
    found = summary["heads"]["no_dropout"]["heads"]["layer 3 head 1"]
    place = (0, 2)  # first column, third row
    number, looks = (
        text.get_text()
        for text in panels[1].texts
        if (text.get_position()[0], round(text.get_position()[1])) == place
    )
    assert number == f"{found['cost']['mean']:+.3f}"
    assert looks == looked_at(found["looks"])
    assert panels[1].images[0].get_array()[2, 0] == found["cost"]["mean"]
    scales = {axes.images[0].norm.vmax for axes in panels}
    assert scales == {found["cost"]["mean"]}  # the highest of all


def said(true, top, words=None, position=0, p=0.5):
    """A prediction with these best guesses, the first of probability p."""
    words = words or [true, "and", "so", "on", "."]
    guesses = [(word, p - 0.01 * i) for i, word in enumerate(top.split())]
    return Prediction(words, position, guesses, true, 0.1, 1, None, None)


DATED = "2007 March 1999 the of"
END = "it ran .".split()


@pytest.mark.parametrize(
    "kind, found, fits",
    [
        ("function_word", said("of", "of in to a the"), True),
        ("function_word", said("The", "The A In It He"), True),
        ("function_word", said("of", "in of to a the"), False),  # wrong
        ("function_word", said("war", "war of to a the"), False),  # open class
        ("function_word", said(",", ", of to a the"), False),
        ("punctuation", said(",", ", and of to ;"), True),
        ("punctuation", said(".", ". , and of ;", END + ["Then", "."], 2), True),
        ("punctuation", said(".", ". , and of ;", END, 2), False),  # the final stop
        ("punctuation", said(",", "and , of to ;"), False),  # wrong
        ("punctuation", said("and", "and , of to ;"), False),
        ("temporal", said("1960", DATED), True),
        ("temporal", said("May", "the June July April of"), True),
        ("temporal", said("2007", DATED), False),  # right
        ("temporal", said("may", DATED), False),  # an auxiliary
        ("temporal", said("31", DATED), False),
        ("temporal", said("1960", "2007 March the of in"), False),  # two dates
        ("temporal", said("1960", "2150 19995 3000 March 1999"), False),  # no years
        ("near_miss", said("northern", "southern the of a in"), True),
        ("near_miss", said("northern", "northern the of a in"), False),  # right
        ("near_miss", said("War", "war the of a in"), False),  # its case alone
        ("near_miss", said("northern", "the southern of a in"), False),  # closed class
        ("near_miss", said("Which", "southern the of a in"), False),  # closed class
        ("near_miss", said("June", "southern the of a in"), False),  # a month
        ("near_miss", said("northern", "July the of a in"), False),
        ("near_miss", said("12", "southern the of a in"), False),  # no letters
    ],
)
def test_an_example_is_of_a_kind_by_its_rule(kind, found, fits):
    assert examples.KINDS[kind][0](found) == fits


def test_an_example_is_typical_or_the_nearest():
    """Of an even number the lower of the middle two, and of equals the first."""
    asked = [
        said("of", "of in", p=p, position=i) for i, p in enumerate((0.9, 0.2, 0.4, 0.6))
    ]
    wrong = said("of", "in of", p=0.3)
    found, fit = examples.choose("function_word", [wrong, *asked], None)
    assert (found.p_pred, fit) == (0.4, 4)
    assert examples.choose("function_word", asked[:3], None)[0].p_pred == 0.4
    equals = [said("of", "of in", p=0.4, position=i) for i in range(3)]
    assert (
        examples.choose("function_word", [*asked[:2], *equals], None)[0].position == 1
    )
    near = [
        said("film", f"{word} the", p=0.1) for word in ("war", "movie", "song", "the")
    ]
    cosines = {"war": 0.1, "movie": 0.8, "song": 0.8, "the": 0.9}
    found = examples.choose("near_miss", near, lambda found: cosines[found.pred])
    assert (found[0].pred, found[1]) == ("movie", 3)
    with pytest.raises(ValueError, match="of the kind temporal"):
        examples.choose("temporal", near, None)


def test_candidates_are_short_and_known():
    known = "the cat sat on a mat and the dog ran .".split()
    lines = [
        " ".join(known),
        " ".join(["x", "x", *known]),
        " ".join(["x", "x", "x", *known]),  # three outside the vocabulary
        "the cat sat .",  # too short
        " ".join(["cat", *known[:-1], *known]),  # 22 words
    ]
    found, counts = examples.candidates(TOKENIZER, lines)
    assert found == [lines[0].split(), lines[1].split()]
    assert (counts["sentences"], counts["candidates"]) == (3, 2)


def test_each_word_of_the_vocabulary_is_asked(model):
    words = "the zebra sat on it .".split()
    found = examples.ask(model, TOKENIZER, [words, words])
    assert [one.position for one in found] == [0, 2, 3, 4, 5] * 2
    alone = fill_mask(model, TOKENIZER, words, 3)
    assert found[2].pred == alone.pred
    assert found[2].p_pred == pytest.approx(alone.p_pred, rel=1e-5)


def test_the_examples_in_the_record_keep_their_rules():
    found = record.read(examples.SUMMARY)
    counts = found["sentences"]
    assert counts["candidates"] <= counts["sentences"]
    assert [*found["kinds"]] == [*examples.KINDS]
    for kind, entry in found["kinds"].items():
        top = [tuple(guess) for guess in entry["top"]]
        asked = entry["words"], entry["position"], top, entry["true"]
        one = Prediction(*asked, entry["p_true"], None, None, None)
        fits, rule = examples.KINDS[kind]
        assert fits(one) and entry["rule"].startswith(rule)
        assert one.words[one.position] == one.true and one.pred == entry["pred"]
        assert counts["shortest"] <= len(one.words) <= counts["longest"]
        assert 1 <= entry["fit"] <= counts["asked"]
        assert (ROOT / "plots" / f"example_{kind}.png").is_file()
    assert 0 < found["kinds"]["near_miss"]["cosine"] <= 1


def test_the_readme_shows_rows_of_the_record():
    table = erasure_table(record.read(attention.SUMMARY)).splitlines()
    text = (ROOT / "README.md").read_text("utf-8").splitlines()
    begin = text.index(table[0])
    shown = list(itertools.takewhile(lambda line: line.startswith("|"), text[begin:]))
    assert len(shown) > 10 and set(shown) <= set(table)
