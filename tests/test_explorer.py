"""What the explorer shows, and what it refuses and withstands."""

import asyncio
import json
import re
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from explored import MODELS, SECOND, TEXT, TOKENIZER, Explored, Page, near, pressed

from explorer import markup, views
from explorer.knockout import without_heads, without_words
from explorer.predict import fill_mask
from helpers.model import MaskedLanguageModel
from helpers.tokenizer import SPECIALS, WordTokenizer


def blues(explorer) -> list[float]:
    """The strength of the colour of [CLS], each word button and [SEP]."""
    pattern = r"(?:--cls|--sep|\(\d+\) \{--a): ([\d.]+)"
    first, last, *inner = map(float, re.findall(pattern, explorer.style.value))
    return [first, *inner, last]


CHOICES = [
    ("with", 3, "2", "all", "layer 2, mean of all heads", (1, None)),
    ("without", 7, "all", "all", "mean of all layers, mean of all", (None, None)),
    ("with", 6, "1", "2", "layer 1, head 2", (0, 1)),
    ("without", 10, "all", "2", "mean of all layers, head 2", (None, 1)),
    ("with", 0, "rollout", "all", "rollout through all", ("rollout", None)),
]


@pytest.mark.parametrize("model, position, layer, head, view, chosen", CHOICES)
def test_every_number_is_that_of_a_fresh_forward_pass(
    model, position, layer, head, view, chosen
):
    """The word at 10 is outside the vocabulary; those at 0, 3 and 6 are equal."""
    explorer, given = Explored(), (MODELS[model], TOKENIZER)
    explorer.words.buttons[position].click()
    explorer.model.value, explorer.layer.value = model, layer
    explorer.head.value = head
    fresh = fill_mask(*given, TEXT, position)
    assert pressed(explorer.words) == [position]
    page = Page(explorer.card)
    p_pred = markup.percent_markup(fresh.p_pred)
    assert f"The model says {fresh.pred}, {p_pred}. " in page.text
    assert page.numbers("mt-pred") == near([fresh.p_pred])
    assert [row["data-word"] for row in page.find("tr")] == [w for w, _ in fresh.top]
    assert page.numbers("tr") == near([p for _, p in fresh.top])
    if position == 10:
        assert "stood there: ship. The model does not know it: it is not" in page.text
        assert page.find("mt-outside") and not page.find("mt-true")
    else:
        assert page.numbers("mt-true") == near([fresh.p_true])
        assert page.numbers("mt-true", "data-rank") == [fresh.rank_true]
        near_miss = "near miss: it is among the first five" in page.text
        assert near_miss == (1 < fresh.rank_true <= 5)
    assert ("Right." in page.text) == (fresh.pred == fresh.true)
    (other,) = {*MODELS} - {model}
    told = fill_mask(MODELS[other], TOKENIZER, TEXT, position).pred
    assert f"The model {other} says {told}, " in Page(explorer.other).text

    share_S = fresh.attention(*chosen)
    scale, largest = Page(explorer.scale), float(share_S.max())
    assert view in explorer.scale.value
    most = markup.percent_markup(largest)
    assert f"0 to {most}. Even attention would be 7.1" in scale.text
    assert scale.numbers("mt-scale", "data-vmax") == near([largest])
    assert explorer.marked("underline dotted") == [10]
    assert explorer.marked('"unknown"') == [10] * (position != 10)
    assert blues(explorer) == near(0.8 * share_S / largest, 1e-3)

    needed, heads = Page(explorer.needed), Page(explorer.heads)
    after_W, after_NH = without_words(*given, fresh), without_heads(*given, fresh)
    others, row = [i for i in range(12) if i != position], "data-position"
    assert needed.numbers(row, "data-position") == others
    assert needed.numbers(row) == near(after_W[others])
    assert needed.numbers(row, "data-attention") == near(share_S[1:-1][others])
    assert heads.numbers("data-p", "data-layer") == [1, 1, 2, 2]
    assert heads.numbers("data-p", "data-head") == [1, 2, 1, 2]
    assert heads.numbers("data-p") == near(after_NH)
    assert f"While all other words are visible, {fresh.target} has" in needed.text

    explorer.paint.index = 1
    change_W = after_W - fresh.p_target
    furthest = max(0.01, float(change_W.abs().max()))
    assert blues(explorer)[1:-1] == near(0.8 * change_W.abs() / furthest, 1e-3)
    fallen = [i for i in explorer.marked("--fall") if change_W[i].abs() > 1e-6]
    assert fallen == change_W.lt(-1e-6).nonzero().flatten().tolist()
    assert f"{100 * furthest:.1f} points" in Page(explorer.scale).text


def test_rollout_takes_no_head_and_a_head_no_rollout():
    explorer = Explored()
    explorer.head.value, explorer.layer.value = "2", "rollout"
    assert explorer.head.value == "all"
    explorer.head.value = "1"
    assert explorer.layer.value == "all" and "layers, head 1" in explorer.scale.value
    assert explorer.head.buttons[1].tooltip == "Head 1, chosen"


def test_a_blank_has_no_true_word():
    explorer = Explored("the cat [MASK] the ____ dog")
    assert explorer.words.options == ("the", "cat", "___", "the", "___", "dog")
    assert pressed(explorer.words) == [2] and explorer.marked("dotted") == []
    words = "the cat [MASK] the [MASK] dog".split()
    fresh = fill_mask(MODELS["with"], TOKENIZER, words, 2)
    assert f"The model says {fresh.pred}, " in explorer.said()
    assert "You left a blank" in explorer.said() and "Wrong" not in explorer.said()
    after_W = without_words(MODELS["with"], TOKENIZER, fresh)
    needed = Page(explorer.needed).numbers("data-position")
    assert needed == near(after_W[[0, 1, 3, 4, 5]])
    explorer.words.index = 1
    assert "The word that stood there: cat" in explorer.said()


def test_a_small_change_is_not_drawn_as_a_large_one():
    explorer = Explored()
    prediction = explorer.views.prediction(explorer.choice())
    after_NH = torch.full((2, 2), prediction.p_target + 0.0001)
    after_W = torch.full((12,), prediction.p_target)
    explorer.views.answers |= {(views.without_heads, "with", 0): after_NH}
    explorer.views.answers |= {(views.without_words, "with", 0): after_W}
    explorer.paint.index = 1
    strengths = [float(a) for a in re.findall(r"--a:([\d.]+)", explorer.heads.value)]
    assert strengths == near([0.8 * 0.01] * 4, 2e-3)
    assert "1.0 points" in Page(explorer.scale).text and {*blues(explorer)} == {0}


def test_shares_are_told_as_people_read_them():
    told = [markup.percent_markup(share) for share in (0, 1e-9, 0.0677, 0.437)]
    assert told == ["0\u00a0%", "below 0.1\u00a0%", "6.8\u00a0%", "44\u00a0%"]
    points = [*map(markup.points_markup, (-0.0004, 0.0126, -0.5))]
    assert points == ["0.0", "+1.3", "−50.0"]


def test_a_guess_has_its_probability_and_rank():
    explorer = Explored(position=3)
    fresh = fill_mask(MODELS["with"], TOKENIZER, TEXT, 3, top_k=99)
    for rank, (word, p) in enumerate(fresh.top, start=1):
        explorer.guess.value = f" {word} "
        (own,) = Page(explorer.own).find("mt-own")
        assert (own["data-word"], own["data-rank"]) == (word, str(rank))
        assert float(own["data-p"]) == pytest.approx(p, abs=1e-6)
    for guess in ("ship", "[MASK]", "the cat", "<b>", "\ud83d"):
        explorer.guess.value = guess
        page = Page(explorer.own)
        assert "not one of the 13 words" in page.text and page.find("b") == []
    explorer.words.index = 4  # and a guess was for one word
    assert explorer.guess.value == explorer.own.value == ""


def test_an_example_brings_its_sentence_and_its_word():
    examples = {"one": ("a cat saw .", 2), "two": ("the dog .", 1), "bad": ("� .", 1)}
    explorer = Explored(examples=examples)
    for name in ("one", "two", "two", "one"):
        explorer.example.value = name
        assert (explorer.text.value, explorer.words.index) == examples[name]
        assert explorer.example.index == 0  # so that a page can send it again
        explorer.words.index = 0
    explorer.example.value = "bad"
    assert "� is half a character" in explorer.refused()
    explorer.text.value = "a cat saw ."  # mended: the example's word is left behind
    assert explorer.words.index == 0 and "The model says" in explorer.said()


# What it refuses, and what it withstands.

REFUSED = [
    (" \n\t ", "There is no word in the text"),
    ("word " * 31, "31 words; the model takes at most 30"),
    ("word " * 10_000, "10000 words; the model takes at most 30"),
    ("the half \ufffd of it", "� is half a character"),
    ("a \ude00\ud83d dog", "� is half a character"),
]


@pytest.mark.parametrize("text, alert", REFUSED, ids=lambda text: ascii(text[:20]))
def test_a_refused_sentence_is_told_in_one_and_nothing_stays(text, alert):
    explorer = Explored()
    explorer.guess.value, old = "cat", [*explorer.words.buttons]
    explorer.text.value = text
    told = explorer.refused()
    assert alert in told and explorer.words.buttons == []
    for button in (old[3], explorer.layer.buttons[0], explorer.head.buttons[1]):
        button.click()
    explorer.guess.value = "dog"
    for button in (explorer.save_picture, explorer.save_page):
        button.click()
        assert "no answer yet" in explorer.saved.value
    assert explorer.refused() == told == Explored(text).refused()
    json.dumps(explorer.text.get_state(), default=str, ensure_ascii=False).encode()
    explorer.text.value = "the cat"  # and it goes on
    assert "The model says" in explorer.said() and ", head 1" in explorer.scale.value


ODD = ["\0 東京 שלום", "<unk> [MASK]", "x" * 9_999, "the " * 30]
ODD += ["<img src=x onerror=alert(1)>", "</style><script>"]


def test_what_is_seen_as_one_character_is_shown_as_one():
    explorer = Explored("👩🏽‍🚀 می‌خواهم e\u0301 a\u202eb \ud83d\ude00")
    assert explorer.words.options == ("👩🏽‍🚀", "می‌خواهم", "é", "ab", "😀")
    assert "stood there: 👩🏽‍🚀. The model does not know it" in explorer.said()


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:24]))
def test_odd_input_gets_a_result_that_can_be_sent(text):
    explorer = Explored(text)
    for position in range(min(4, len(explorer.words.options))):
        explorer.words.index = position
        explorer.guess.value = explorer.change.by.value = text[:99]
        explorer.change.compare.click()
        assert "The model says" in explorer.said()
        parts = "card", "needed", "heads", "own", "other"
        written = "".join(getattr(explorer, part).value for part in parts)
        written += explorer.change.told.value
        tags = "div section p b bdi table caption tr th td span i button".split()
        assert {e["tag"] for e in Page(written).elements} <= {*tags}
        assert explorer.style.value.count("<") == 2
    for part in explorer.parts():
        json.dumps(part.get_state(), ensure_ascii=False, default=str).encode()
    assert all(len(o) < 100 and o.isprintable() for o in explorer.words.options)
    assert explorer.said().replace("\u00a0", " ").isprintable()


@pytest.mark.parametrize("name", ["with", "without"])
def test_an_error_is_shown_and_not_repeated_and_nothing_stays(name):
    """Without a loop, and with one, where it comes in the knock-outs of the first."""
    error = RuntimeError("no <b>memory</b> left")
    explorer = Explored()
    explorer.calls(name, error)
    explorer.text.value = "the cat"
    explorer.model.value = name
    assert explorer.refused() == "⚠ no <b>memory</b> left"

    async def wait():
        explorer = Explored()
        calls = explorer.calls(name, error)
        await asyncio.wait_for(asyncio.shield(explorer.waiting), timeout=60)
        assert explorer.refused() == "⚠ no <b>memory</b> left" and len(calls) == 1

    asyncio.run(wait())


def test_an_interrupt_leaves_nothing_of_the_sentence_before():
    explorer = Explored()
    explorer.calls(error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        explorer.text.value = "the cat"
    assert explorer.said() == "" and explorer.words.options == ()


def test_what_becomes_of_the_models_changes_no_answer():
    models = deepcopy(MODELS)
    noisy = MaskedLanguageModel(replace(models["with"].config, dropout=0.5)).train()
    explorer = Explored(models=models | {"noisy": noisy}, position=3)
    explorer.model.value = "noisy"
    parts = explorer.card, explorer.needed, explorer.other
    before = [part.value for part in parts]
    for weight in models["with"].train().parameters():
        weight.data.zero_()
    models["without"].to("meta")
    for text in (SECOND, TEXT):
        explorer.text.value = text
    explorer.words.index = 3
    assert [part.value for part in parts] == before and "without" in before[2]
    assert models["with"].training and noisy.training


WRONG = [
    ({"position": "king"}, "text, position is .*'king'.; give a text, and a whole"),
    ({"examples": {"x": ("the king", "1")}}, "x is .'the king', '1'.; give a text"),
    ({"models": {5: 5}}, "models is {5: 5}…; give a dict from names, strings"),
    ({"models": {}}, "There is no model to explore"),
    ({"tokenizer": WordTokenizer(SPECIALS)}, ".*tokenizer has 5 words.*vocab_size 18"),
]
for size in ({"n_layers": 1}, {"n_heads": 4}, {"max_length": 8}):
    other = MaskedLanguageModel(replace(MODELS["with"].config, **size))
    told = r".* differ in {} \(with: \d+, other: {}\); give each its own"
    told = told.format(*size, *size.values())
    WRONG.append(({"models": {"with": MODELS["with"], "other": other}}, told))


@pytest.mark.parametrize("change, told", WRONG)
def test_what_cannot_be_explored_is_refused(change, told):
    with pytest.raises(ValueError, match=f"^{told}"):
        Explored(**change)


def test_what_is_refused_at_first_goes_on():
    Explored(position=np.int64(1), examples={"x": ["the cat", None]})  # and not these
    explorer = Explored("a cat .", position=7)
    assert explorer.refused() == "⚠ There is no word 7; choose 0 to 2."
    explorer.text.value = "the cat"
    assert pressed(explorer.words) == [0]
    models = deepcopy(MODELS)
    next(models["with"].parameters()).data.fill_(float("nan"))
    assert "not finite" in Explored(models=models).refused()
