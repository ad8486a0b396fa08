"""The attention study against sums by hand; the rules by which examples are chosen."""

import copy
import hashlib
import statistics

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from tiny import knowing, scored_on, tiny_model

from explorer.predict import Prediction, fill_mask
from helpers import ROOT
from helpers.corpus import Corpus
from helpers.evaluate import evaluate
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, UNK
from studies import shipped
from studies.attention import erasure, examples, heads, knowledge
from studies.attention.figures import erasure_figure, heads_figure
from studies.attention.tables import MODELS, TRAINED, looks_cell
from studies.lab.stats import bootstrap

WORDS = "the cat dog sat on a mat and . ran to it".split()
TOKENIZER = knowing(WORDS)
# Words, the masked one, and the places of the others that count, the nearest last. A
# word outside the vocabulary stands beside the first one, so that its nearest is on one
# side only; the second has two outside, and so two others at the same distance.
SENTENCES = [
    ("the cat zebra sat on a mat .", 3, [0, 1, 5, 6, 7], [4]),
    ("it ran and giraffe dog zebra sat on the mat .", 4, [0, 1, 7, 8, 9, 10], [2, 6]),
]
MODEL = tiny_model(len(TOKENIZER), seed=1)
SUMMARY = erasure.STUDY.read()


@pytest.fixture(scope="module")
def data():
    """Blocks of random words with [SEP] between; the last group is a small one."""
    draw = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(len(SPECIALS), len(TOKENIZER), (37, 16), generator=draw)
    ids_BT[:, 0] = CLS
    ids_BT[torch.rand(ids_BT.shape, generator=draw) < 0.1] = SEP
    ids_BT[:20, 8:][torch.rand(20, 8, generator=draw) < 0.5] = UNK
    return scored_on(ids_BT.flatten(), ids_BT)


@torch.no_grad()
def by_hand(words, position, far, near) -> dict:
    """What `erase_words` returns of one sentence, each rule spelt out."""
    ids = torch.tensor([[CLS, *TOKENIZER.encode(words), SEP]])

    def forward(*hidden):
        at = torch.tensor([[i + 1 for i in hidden]])
        logits, weights = MODEL(ids.scatter(1, at, MASK), need_weights=True)
        chance = logits[0, position + 1, len(SPECIALS) :].double().log_softmax(-1)
        return chance[ids[0, position + 1] - len(SPECIALS)].item(), weights[0].mean(1)

    others, (intact, (one, two)) = far + near, forward(position)
    same = torch.eye(len(one))
    views = {"layer 1": one, "layer 2": two}
    views["rollout"] = (two + same) / 2 @ ((one + same) / 2)
    seen = {view: x[position + 1, 1:].numpy()[others] for view, x in views.items()}
    table = pd.DataFrame(seen, others)
    falls = pd.Series({i: intact - forward(position, i)[0] for i in others})
    most, least = table.idxmax(), table.idxmin()
    beside = (abs(most - position) == 1).astype(float).to_dict()
    expected = {"log_probability": intact}
    expected["adjacent"] = beside | {"random": near.count(position + 1) / len(others)}
    expected["correlation"] = table.corrwith(falls, method="spearman").to_dict()
    for measure, values in (("fall", falls), ("size", falls.abs())):
        rules = {"random": values.mean(), "largest": values.max()}
        rules["nearest"] = values[near].mean()
        for view in views:
            rules[f"{view} most"] = high = values[most[view]]
            rules[f"{view} least"] = low = values[least[view]]
            rules[f"{view} most minus random"] = high - rules["random"]
            rules[f"{view} most minus nearest"] = high - rules["nearest"]
            rules[f"{view} most minus least"] = high - low
        expected[measure] = rules
    return expected


def test_the_erasure_test_is_that_of_a_sum_by_hand():
    """What is no word of the vocabulary is neither masked nor ranked."""
    rows, asked = [], [(text.split(), position) for text, position, *_ in SENTENCES]
    for (words, position), (*_, far, near) in zip(asked, SENTENCES, strict=True):
        rows.append(erasure.erase_words(MODEL, TOKENIZER, words, position))
        for key, values in by_hand(words, position, far, near).items():
            assert rows[-1][key] == pytest.approx(values, abs=2e-5)
    part = erasure.erasure_test(MODEL, TOKENIZER, asked)
    for measure, own in (("fall", "mean"), ("size", "mean"), ("correlation", "median")):
        for name, value in part[measure].items():
            mean = statistics.fmean(row[measure][name] for row in rows)
            assert value[own] == pytest.approx(mean)
    beside = pd.DataFrame([row["adjacent"] for row in rows]).mean().to_dict()
    assert part["adjacent"] == pytest.approx(beside)
    spread = erasure.erasure_correlation(pd.Series([None, 0.5, -0.5, 0.1]))
    assert spread["quartiles"] == pytest.approx([-0.2, 0.3])
    assert spread["positive"] == pytest.approx(2 / 3)
    assert (spread["sentences"], spread["median"]) == (3, 0.1)


def test_a_head_that_is_off_is_one_that_is_not_read(data):
    """Groups are of 16, 16 and 5 blocks, with unlike numbers of words."""
    part = heads.head_costs(MODEL, data)
    rows = part["heads"] | part["layers"]
    assert (len(part["heads"]), len(part["layers"]), part["groups"]) == (4, 2, 3)
    blocks = data.validation_BT, data.subset_BT
    for key in ("words", "loss", "accuracy"):
        assert part[key] == pytest.approx(evaluate(MODEL, *blocks)[key], rel=1e-5)

    def sums(model) -> np.ndarray:
        groups = zip(*(x.split(16) for x in blocks), strict=True)
        scores = [evaluate(model, *group) for group in groups]
        return np.array([[x["words"], x["loss"] * x["words"]] for x in scores]).T

    words, losses = sums(MODEL)
    slices = {"layer 1 head 2": (0, slice(8, 16)), "layer 2 head 1": (1, slice(0, 8))}
    for name, (n, read) in (slices | {"layer 2": (1, slice(0, 16))}).items():
        other = copy.deepcopy(MODEL)
        other.blocks[n].attention.output.weight.data[:, read] = 0
        cost = bootstrap({"rise": sums(other)[1] - losses}, words)["rise"]
        assert rows[name]["cost"] == pytest.approx(cost, abs=1e-5)
        accuracy = evaluate(other, *blocks)["accuracy"]
        assert rows[name]["accuracy"] == pytest.approx(accuracy)
    each = part["heads"].values()
    cost, peak = [x["cost"]["mean"] for x in each], [x["looks"]["peak"] for x in each]
    assert part["peak_and_cost"] == pytest.approx(spearmanr(cost, peak).statistic)


def test_the_gaze_of_a_head_is_that_of_masked_positions(data):
    gaze = heads.head_gaze(MODEL, data)
    names = {-3: "-3", -2: "-2", -1: "-1", 0: "self", 1: "+1", 2: "+2", 3: "+3"}
    rows = []
    for ids, subset in zip(data.validation_BT, data.subset_BT, strict=True):
        inputs = ids.masked_fill(subset == 0, MASK)
        with torch.no_grad():
            weights = MODEL(inputs[None], need_weights=True)[1][0, 1, 0]
        for at in (subset == 0).nonzero().flatten().tolist():
            seen = dict(enumerate(weights[at].tolist(), -at))  # by offset
            row = {name: seen.get(offset, 0.0) for offset, name in names.items()}
            row |= {"[CLS]": weights[at, ids == CLS].sum().item()}
            row |= {"[SEP]": weights[at, ids == SEP].sum().item()}
            rows.append(row | {"peak": max(seen.values())})
    means = {name: mean_NH[1, 0].item() for name, mean_NH in gaze.items()}
    assert means == pytest.approx(pd.DataFrame(rows).mean().to_dict(), abs=1e-5)


def test_sentences_are_chosen_at_equal_distances():
    """Those with fewer than five words beside the masked one are left out before."""
    lines = [f"the cat sat on it and ran to the {i} ." for i in range(30)]
    lines[3] = "the cat sat on it x x x x ."  # six in all: five beside the masked one
    lines[4] = "the cat sat on x x x x x ."  # five in all
    lines += ["the cat sat .", "= = heading = ="]  # too short, and no running text
    chosen, counts = erasure.erasure_sentences(TOKENIZER, lines, 10)
    usable = [line.split() for i, line in enumerate(lines[:30]) if i != 4]
    assert [words for words, _ in chosen] == [usable[i * 29 // 10] for i in range(10)]
    assert counts["left_out"] == {"too_few_words": 1, "between_chosen": 19}
    assert all(words[position] in WORDS for words, position in chosen)
    assert len({position for _, position in chosen}) > 2


def test_shuffled_words_are_the_same_words():
    words = "the cat sat on a mat and ran to it .".split()
    for number in range(3):
        mixed, position = erasure.erasure_control(words, 5, number)
        assert sorted(mixed) == sorted(words)
        assert mixed != words and mixed[position] == "mat"
    twice = [erasure.erasure_control(["a", "a", "b"], 1, n) for n in range(20)]
    assert {at for _, at in twice} == {0, 1, 2}  # the second "a", wherever it goes


def test_each_model_is_tested_and_the_controls_differ():
    lines = [f"{text} and it ." for text, *_ in SENTENCES] * 3
    asked = dict.fromkeys(TRAINED, MODEL), TOKENIZER, Corpus("toy", lines, lines, [])
    found = erasure.measure_erasure(*asked, {"weights": {"dropout": "these"}}, 2)
    assert [*found["erasure"]] == [*MODELS] and [*found["heads"]] == [*MODELS][:3]
    means = [part["fall"]["largest"]["mean"] for part in found["erasure"].values()]
    assert means[0] == means[1] and len({*means}) == 3


def test_another_text_than_the_models_is_refused(monkeypatch):
    monkeypatch.setattr(shipped, "require_wikitext", lambda: Corpus("toy", [], [], []))
    with pytest.raises(ValueError, match="are of WikiText-2, not toy"):
        shipped.shipped_models("dropout")


@pytest.mark.parametrize("study", [erasure.STUDY, knowledge.STUDY])
def test_the_records_are_of_the_weights(study):
    for name, digest in study.read()["weights"].items():
        content = (ROOT / "weights" / f"{name}.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest


def test_a_head_looks_at_one_target_or_spreads():
    looks = {"-1": 0.3, "self": 0.1, "+1": 0.2, "[CLS]": 0.0, "[SEP]": 0.0}
    assert looks_cell(looks | {"peak": 0.9}) == "−1 30 %"
    assert looks_cell(looks | {"[SEP]": 0.42, "peak": 0.9}) == "[SEP] 42 %"
    assert looks_cell({"-1": 0.09, "+1": 0.08, "peak": 0.9}) == "spread"


def test_the_erasure_figure_has_a_dot_for_each_mean():
    panels = erasure_figure(SUMMARY).axes
    lines = [line for axes in panels for line in axes.lines]
    dots = [line for line in lines if len(line.get_xdata()) == 7]
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    row = labels.index("most attended, last layer")
    for line, name in zip(dots, MODELS, strict=True):
        fall = SUMMARY["erasure"][name]["fall"]
        assert line.get_xdata()[row] == fall["layer 4 most"]["mean"]


def test_the_heads_figure_has_a_dot_for_each_head():
    panels = heads_figure(SUMMARY).axes
    for axes, part in zip(panels, SUMMARY["heads"].values(), strict=True):
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        costs = [head["cost"] for head in part["heads"].values()]
        shown = [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots]
        assert shown == [(x["mean"], i // 8) for i, x in enumerate(costs)]
        hollow = [dot.get_markerfacecolor() == "white" for dot in dots]
        assert hollow == [cost["low"] <= 0 <= cost["high"] for cost in costs]
        assert max(shown) in [text.xy for text in axes.texts]
        (name,) = (text.get_text() for text in axes.texts)
        layer, head = divmod(costs.index(max(costs, key=lambda x: x["mean"])), 8)
        assert name == f"L{layer + 1}H{head + 1}"


def said(true, top, words=("a", "and", "so", "on", "."), position=0, p=0.5):
    """A prediction with these best guesses, the first of probability p."""
    guesses = [(word, p - 0.01 * i) for i, word in enumerate(top.split())]
    return Prediction([*words], position, guesses, true, 0.1, 1, None, None, [], 0)


DATED = "2007 March 1999 the of"
END = "it ran .".split()


@pytest.mark.parametrize(
    "kind, prediction, fits",
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
        ("temporal", said("1960", DATED), True),
        ("temporal", said("May", "the June July April of"), True),
        ("temporal", said("2007", DATED), False),  # right
        ("temporal", said("may", DATED), False),  # an auxiliary
        ("temporal", said("1960", "2007 March the of in"), False),  # two dates
        ("temporal", said("1960", "2150 19995 3000 March 1999"), False),  # no years
        ("near_miss", said("northern", "southern the of a in"), True),
        ("near_miss", said("northern", "northern the of a in"), False),  # right
        ("near_miss", said("War", "war the of a in"), False),  # its case alone
        ("near_miss", said("Which", "southern the of a in"), False),  # closed class
        ("near_miss", said("June", "southern the of a in"), False),  # a month
        ("near_miss", said("12", "southern the of a in"), False),  # no letters
    ],
)
def test_an_example_is_of_a_kind_by_its_rule(kind, prediction, fits):
    assert examples.KINDS[kind][0](prediction) == fits


def test_an_example_is_typical_or_the_nearest():
    """Of an even number the lower of the middle two, and of equals the first."""
    choose, chances = examples.chosen_example, (0.9, 0.2, 0.4, 0.6)
    right = [said("of", "of in", p=p, position=i) for i, p in enumerate(chances)]
    chosen, fit = choose("function_word", [said("of", "in of"), *right], None)
    assert (chosen.p_pred, fit) == (0.4, 4)
    equals = [said("of", "of in", p=0.4, position=i) for i in range(3)]
    chosen, _ = choose("function_word", [*right[:2], *equals[1:]], None)
    assert (chosen.p_pred, chosen.position) == (0.4, 1)
    near = [said("film", f"{word} the") for word in ("war", "movie", "song", "the")]
    cosines = {"war": 0.1, "movie": 0.8, "song": 0.8, "the": 0.9}
    chosen, fit = choose("near_miss", near, lambda one: cosines[one.pred])
    assert (chosen.pred, fit) == ("movie", 3)


def test_candidates_are_short_and_known_and_asked_for_each_word():
    known = "the cat sat on a mat and the dog ran ."
    lines = [known, f"x x {known}", f"x x x {known}"]  # three are too many
    lines += ["the cat sat .", f"cat {known[:-1]}{known}"]  # 4 and 22 words
    sentences, counts = examples.example_candidates(TOKENIZER, lines)
    assert sentences == [lines[0].split(), lines[1].split()]
    assert (counts["sentences"], counts["candidates"]) == (3, 2)
    predictions = examples.example_predictions(MODEL, TOKENIZER, sentences)
    assert [one.position for one in predictions] == [*range(11), *range(2, 13)]
    alone = fill_mask(MODEL, TOKENIZER, sentences[0], 3)
    assert predictions[3].p_pred == pytest.approx(alone.p_pred, rel=1e-5)


def test_the_examples_in_the_record_keep_their_rules():
    for kind, (fits, rule) in examples.KINDS.items():
        entry = examples.STUDY.read()["kinds"][kind]
        one = said(entry["true"], "", entry["words"], entry["position"])
        one.top.extend((word, p) for word, p in entry["top"])
        assert fits(one) and entry["rule"] == rule
        assert one.words[one.position] == one.true and one.pred == entry["pred"]
