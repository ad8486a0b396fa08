"""The explorer, driven through its traits as a page would drive it."""

import asyncio
import base64
import copy
import html
import json
import re
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import ipywidgets
import numpy as np
import pytest
import torch

from explorer import Explorer, card, keep, play, turns, views, widget
from explorer.knockout import without_heads, without_words
from explorer.predict import fill_mask
from explorer.views import Choice
from helpers import figure
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.text import split_words
from helpers.tokenizer import SPECIALS, WordTokenizer

TEXT = "the cat and the dog saw the $5 – ship ."
SECOND = "a dog saw the cat and the cat saw $ 5 – a dog and the cat ."
CHOSEN = Choice(2, "without")


def build(seed: int = 0, **others) -> MaskedLanguageModel:
    torch.manual_seed(seed)
    sizes = {"vocab_size": 18, "n_layers": 2, "n_heads": 2, "d_model": 16, "d_ff": 16}
    model = MaskedLanguageModel(ModelConfig(**sizes | others)).eval()
    for weight in model.parameters():
        weight.data *= 8  # far from even, so that mistakes show
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer([*SPECIALS, *"the cat and dog saw $ 5 – . a < > img".split()])


@pytest.fixture
def models():
    return {"with": build(0), "without": build(1)}


@pytest.fixture
def explorer(models, tokenizer):
    return Explorer(models, tokenizer, TEXT)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """The folder for what is saved."""
    monkeypatch.setattr(keep, "SAVED", tmp_path / "saved")
    return tmp_path / "saved"


class Page(HTMLParser):
    """The elements and the visible text of a piece of HTML."""

    def __init__(self, source: str):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.elements.append({"tag": tag, **dict(attrs)})

    def handle_data(self, data):
        self.text += data

    def find(self, name: str) -> list[dict]:
        """The elements of a class or tag, or with an attribute of this name."""
        return [e for e in self.elements if name in e or name in names_of(e)]

    def numbers(self, name: str, attribute: str = "data-p") -> list[float]:
        """The exact numbers of some elements."""
        return [float(element[attribute]) for element in self.find(name)]


def names_of(element: dict) -> list[str]:
    return [element["tag"], *element.get("class", "").split()]


def near(numbers, apart: float = 1e-6):
    """Numbers, of a tensor also, that others are to equal but for rounding."""
    return pytest.approx(torch.as_tensor(numbers).flatten().tolist(), abs=apart)


def text_of(part) -> str:
    return Page(part.value).text


def said(explorer) -> str:
    return text_of(explorer.card)


def blues(explorer) -> list[float]:
    """The strength of the colour of [CLS], each word button and [SEP]."""
    pattern = r"(?:--cls|--sep|\(\d+\) \{--a): ([\d.]+)"
    first, last, *inner = map(float, re.findall(pattern, explorer.style.value))
    return [first, *inner, last]


def marked(explorer, sign: str) -> list[int]:
    """The positions of the words whose style has a sign."""
    rules = re.findall(r"nth-child\((\d+)\) \{(.*?)\}", explorer.style.value)
    return [int(i) - 1 for i, rule in rules if sign in rule]


def pressed(row) -> list[int]:
    """The buttons that show that they are pressed, to the eye and in words."""
    seen = [i for i, b in enumerate(row.buttons) if "mod-active" in b._dom_classes]
    told = [i for i, b in enumerate(row.buttons) if b.tooltip.endswith(row.pressed)]
    assert seen == told
    return seen


def refused(explorer) -> str:
    """The sentence that stands in place of a result, of which nothing is left."""
    assert 'role="alert"' in explorer.card.value
    parts = explorer.style, explorer.scale, explorer.own, explorer.other
    parts += explorer.needed, explorer.heads, explorer.change.told
    assert [part.value for part in parts] == [""] * 7
    return said(explorer)


def calls_of(explorer, name: str = "with", error: BaseException | None = None) -> list:
    """Collects the calls of one of the explorer's models, and has them raise errors."""
    calls = []

    def hook(*_):
        calls.append(1)
        if error:
            raise error

    explorer.models[name].register_forward_hook(hook)
    return calls


def below(part):
    """A widget and all that it holds."""
    yield part
    for child in getattr(part, "children", ()):
        yield from below(child)


# What it shows.


@pytest.mark.parametrize(
    "model, position, layer, head, view, chosen",
    [
        ("with", 3, "2", "all", "layer 2, mean of all heads", (1, None)),
        ("without", 7, "all", "all", "mean of all layers, mean of all", (None, None)),
        ("with", 6, "1", "2", "layer 1, head 2", (0, 1)),
        ("without", 10, "all", "2", "mean of all layers, head 2", (None, 1)),
        ("with", 0, "rollout", "all", "rollout through all", ("rollout", None)),
    ],
)
def test_every_number_is_that_of_a_fresh_forward_pass(
    model, position, layer, head, view, chosen, explorer, models, tokenizer
):
    """The word at 10 is outside the vocabulary; those at 0, 3 and 6 are equal."""
    given = models[model], tokenizer
    explorer.words.buttons[position].click()
    explorer.model.value, explorer.layer.value = model, layer
    explorer.head.value = head
    fresh = fill_mask(*given, TEXT, position)
    assert pressed(explorer.words) == [position]
    for row, value in ((explorer.layer, layer), (explorer.head, head)):
        assert row.value == value and pressed(row) == [row.index]

    page = Page(explorer.card.value)
    assert page.find("mt-card")[0]["data-position"] == str(position)
    assert f"The model says {fresh.pred}, {card.percent(fresh.p_pred)}. " in page.text
    assert page.numbers("mt-pred") == near([fresh.p_pred])
    words, chances = zip(*fresh.top, strict=True)
    assert page.numbers("tr") == near(chances)
    assert tuple(row["data-word"] for row in page.find("tr")) == words
    if position == 10:
        assert "stood there: ship. The model does not know it: it is not" in page.text
        assert page.find("mt-outside") and not page.find("mt-true")
    else:
        assert f"The word that stood there: {fresh.true}" in page.text
        assert page.numbers("mt-true") == near([fresh.p_true])
        assert page.numbers("mt-true", "data-rank") == [fresh.rank_true]
        near_miss = "near miss: it is among the first five" in page.text
        assert near_miss == (1 < fresh.rank_true <= 5)
    assert ("Right." in page.text) == (fresh.pred == fresh.true)
    (other,) = {*models} - {model}
    told = fill_mask(models[other], tokenizer, TEXT, position)
    told = f"{other}, says {told.pred}, {card.percent(told.p_pred)}"
    assert told in text_of(explorer.other)

    share_S = fresh.attention(*chosen)
    scale, largest = Page(explorer.scale.value), float(share_S.max())
    assert scale.find("mt-scale")[0]["data-view"].startswith(view)
    assert f"0 to {card.percent(largest)}. Even attention would be 7.1" in scale.text
    assert marked(explorer, "underline dotted") == [10]
    assert marked(explorer, '"unknown"') == [10] * (position != 10)
    assert scale.numbers("mt-scale", "data-vmax") == near([largest])
    assert blues(explorer) == near(0.8 * share_S / largest, 1e-3)

    needed, heads = Page(explorer.needed.value), Page(explorer.heads.value)
    after_W, after_NH = without_words(*given, fresh), without_heads(*given, fresh)
    others, share_W = [i for i in range(12) if i != position], share_S[1:-1]
    rows = [int(row["data-position"]) for row in needed.find("data-position")]
    assert rows == others and needed.find("mt-knock")[0]["data-for"] == str(position)
    assert needed.numbers("data-position") == near(after_W[others])
    attention = needed.numbers("data-position", "data-attention")
    assert attention == near(share_W[others])
    change_W = after_W - fresh.p_target
    for i in others:
        told = f"{card.percent(after_W[i])}{card.points(float(change_W[i]))}"
        assert told in needed.text
    cells = [(cell["data-layer"], cell["data-head"]) for cell in heads.find("data-p")]
    assert cells == [(n, h) for n in "12" for h in "12"]
    assert heads.numbers("data-p") == near(after_NH)
    assert f"With all of them {fresh.target} has" in needed.text

    explorer.paint.index = 1
    furthest = max(0.01, float(change_W.abs().max()))
    assert blues(explorer)[1:-1] == near(0.8 * change_W.abs() / furthest, 1e-3)
    assert marked(explorer, "--fall") == change_W.lt(0).nonzero().flatten().tolist()
    assert f"{100 * furthest:.1f} points" in text_of(explorer.scale)


def test_rollout_takes_no_head_and_a_head_no_rollout(explorer):
    explorer.head.value, explorer.layer.value = "2", "rollout"
    assert explorer.head.value == "all"
    explorer.head.value = "1"
    assert explorer.layer.value == "all" and "layers, head 1" in explorer.scale.value


def test_words_tell_what_colours_show_and_claim_no_cause(explorer):
    tips = [button.tooltip for button in explorer.words.buttons]
    assert tips == ["hidden", *[""] * 11]
    for row, name in ((explorer.layer, "Layer"), (explorer.head, "Head")):
        tips = [button.tooltip.removesuffix(", chosen") for button in row.buttons]
        assert tips == [f"{name} {option}" for option in row.options]
    for position in (3, 10):
        explorer.words.index, explorer.guess.value = position, "cat"
        parts = [p for p in below(explorer.box) if type(p) is ipywidgets.HTML]
        text = " ".join(text_of(p).lower() for p in parts if "<style" not in p.value)
        assert not {"because", "explains", "important"} & {*re.findall(r"\w+", text)}


def test_a_blank_has_no_true_word(models, tokenizer, saved):
    explorer = Explorer(models, tokenizer, "the cat [MASK] the ____ dog")
    assert explorer.words.options == ("the", "cat", "___", "the", "___", "dog")
    assert pressed(explorer.words) == [2] and marked(explorer, "dotted") == []
    words = "the cat [MASK] the [MASK] dog".split()
    fresh = fill_mask(models["with"], tokenizer, words, 2)
    assert "You left a blank" in said(explorer) and "Wrong" not in said(explorer)
    assert f"The model says {fresh.pred}, {card.percent(fresh.p_pred)}" in said(
        explorer
    )
    page = Page(explorer.needed.value)
    assert f"With all of them {fresh.pred} has" in page.text
    after_W = without_words(models["with"], tokenizer, fresh)
    assert page.numbers("data-position") == near(after_W[[0, 1, 3, 4, 5]])
    explorer.save_picture.click()
    assert "_true-blank_" in next(saved.iterdir()).name
    explorer.words.index = 1
    assert "The word that stood there: cat" in said(explorer)
    explorer.text.value = "a dog ___"
    assert pressed(explorer.words) == [2]


def test_a_small_change_is_not_drawn_as_a_large_one(explorer):
    prediction = explorer.views.prediction(explorer.choice())
    after_NH = torch.full((2, 2), prediction.p_target + 0.0001)
    after_W = torch.full((12,), prediction.p_target)
    explorer.views.answers |= {(views.without_heads, "with", 0): after_NH}
    explorer.views.answers |= {(views.without_words, "with", 0): after_W}
    explorer.paint.index = 1
    strengths = [float(a) for a in re.findall(r"--a:([\d.]+)", explorer.heads.value)]
    assert strengths == near([0.8 * 0.01] * 4, 2e-3)
    assert "1.0 points" in text_of(explorer.scale) and {*blues(explorer)} == {0}


def test_shares_are_told_as_people_read_them():
    told = [card.percent(share) for share in (0, 1e-9, 0.0677, 0.437)]
    assert told == ["0\u00a0%", "below 0.1\u00a0%", "6.8\u00a0%", "44\u00a0%"]


def test_a_guess_has_its_probability_and_rank(explorer, models, tokenizer):
    explorer.words.index = 3
    fresh = fill_mask(models["with"], tokenizer, TEXT, 3, top_k=99)
    for rank, (word, p) in enumerate(fresh.top, start=1):
        explorer.guess.value = f" {word} "
        (own,) = Page(explorer.own.value).find("mt-own")
        assert (own["data-word"], own["data-rank"]) == (word, str(rank))
        assert float(own["data-p"]) == pytest.approx(p, abs=1e-6)
    for guess in ("ship", "[MASK]", "the cat", "<b>", "\ud83d"):
        explorer.guess.value = guess
        page = Page(explorer.own.value)
        assert "not one of the 13 words" in page.text and page.find("b") == []
    explorer.words.index = 4  # and a guess was for one word
    assert explorer.guess.value == explorer.own.value == ""


def test_an_example_brings_its_sentence_and_its_word(models, tokenizer):
    examples = {"one": ("a cat saw .", 2), "two": ("the dog .", 1), "bad": ("� .", 1)}
    explorer = Explorer(models, tokenizer, TEXT, examples=examples)
    for name in ("one", "two", "two", "one"):
        explorer.example.value = name
        assert (explorer.text.value, explorer.words.index) == examples[name]
        assert explorer.example.index == 0  # so that a page can send it again
        explorer.words.index = 0
    explorer.example.value = "bad"
    assert "� is half a character" in refused(explorer)
    explorer.text.value = "a cat saw ."  # mended: the example's word is left behind
    assert explorer.words.index == 0 and "The model says" in said(explorer)


# Which events it answers, and in which order.


def test_the_last_click_wins_and_leaves_the_buttons_alone(explorer):
    before, changed = [*explorer.words.children], []
    for part in (explorer.words, *before):
        part.observe(lambda change: changed.append(change.name))
    for row in (explorer.words, explorer.layer, explorer.head, explorer.model):
        for i in (0, 1, 0):
            row.buttons[i].click()
        assert pressed(row) == [0]
    assert "mean of all layers, mean of all heads" in explorer.scale.value
    assert {*changed} == {"index", "_dom_classes", "tooltip"}
    assert [*explorer.words.children] == before


def test_a_new_sentence_starts_at_its_first_word_and_leaves_no_button(explorer):
    alive, old = ipywidgets.widgets.widget._instances, [*explorer.words.buttons]
    explorer.words.index = 11
    explorer.text.value = SECOND
    before = len(alive)
    assert {button.comm for button in old} == {None}
    old[3].click()
    assert pressed(explorer.words) == [0] and len(explorer.words.options) == 18
    for text in ("a dog .", "", SECOND[::-1], "word " * 99, SECOND):
        explorer.text.value = text
        explorer.layer.index = 1
    assert len(alive) == before


def test_a_sentence_is_predicted_once_and_knocked_out_once(explorer):
    calls = calls_of(explorer)
    explorer.text.value = "a cat ."
    assert len(calls) == 3  # all positions, then words and heads of the first
    for position in (1, 2, 0, 1):
        explorer.words.index = position
    explorer.layer.index, explorer.head.index = 0, 2
    assert len(calls) == 3 + 2 * 2


def begin_save(explorer) -> None:
    """After a change of sentence, saves the page of one word."""
    explorer.text.value = SECOND
    explorer.model.value = CHOSEN.model
    explorer.words.index = CHOSEN.position
    explorer.save_page.click()


def click_words(explorer) -> None:
    """Clicks every word, then word 4."""
    for button in (*explorer.words.buttons, explorer.words.buttons[4]):
        button.click()
        time.sleep(0.01)


def check_page(explorer, models, tokenizer, saved) -> None:
    """A saved page is that of the moment of the save, made by models of its own."""
    fresh = views.Views(copy.deepcopy(models), tokenizer, SECOND, explorer.scope)
    expected = fresh.page(CHOSEN)
    (path,) = saved.iterdir()
    assert path.read_text("utf-8") == expected
    assert path.name.startswith("explorer_pos2_true-saw_")


def check_last_click(explorer, models, tokenizer) -> None:
    """The numbers are those of the last word that was clicked."""
    fresh = fill_mask(models["without"], tokenizer, SECOND, 4)
    after_NH = without_heads(models["without"], tokenizer, fresh)
    assert pressed(explorer.words) == [4]
    first = Page(explorer.card.value).numbers("mt-true")[0]
    assert first == pytest.approx(fresh.p_true, abs=1e-6)
    assert Page(explorer.heads.value).numbers("data-p") == near(after_NH)


@pytest.fixture
def reader(models, tokenizer):
    """Asks the reader's own model in a thread, all the time; its answers stay right."""
    answers, going_on = [], True

    def ask():
        while going_on:
            fresh = fill_mask(models["with"], tokenizer, TEXT, 3)
            after_W = without_words(models["with"], tokenizer, fresh)
            after_NH = without_heads(models["with"], tokenizer, fresh)
            answers.append((fresh.p_pred, after_W.tolist(), after_NH.tolist()))

    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(ask)
        try:
            yield
        finally:
            going_on = False
        task.result()
        assert len(answers) > 1 and all(answer == answers[0] for answer in answers)


def test_clicks_of_other_threads_leave_a_save_right(models, tokenizer, saved, reader):
    """With a loop, as in a kernel: the clicks come in threads, as in subshells."""
    threads = set()

    async def save():
        explorer = Explorer(models, tokenizer, TEXT)
        explorer.card.observe(lambda _: threads.add(threading.get_ident()), "value")
        begin_save(explorer)
        for _ in range(2):
            await asyncio.to_thread(click_words, explorer)
        while not (saved.exists() and explorer.waiting.done()):
            await asyncio.sleep(0.01)
        return explorer

    explorer = asyncio.run(save())
    assert threads == {threading.get_ident()}
    check_page(explorer, models, tokenizer, saved)
    check_last_click(explorer, models, tokenizer)


def test_clicks_without_a_loop_wait_for_each_other(
    models, tokenizer, saved, reader, monkeypatch
):
    explorer = Explorer(models, tokenizer, TEXT)
    began, page = threading.Event(), views.Views.page

    def slow_page(self, choice):
        began.set()
        time.sleep(0.1)
        return page(self, choice)

    monkeypatch.setattr(views.Views, "page", slow_page)
    with ThreadPoolExecutor(3) as pool:
        saving = pool.submit(begin_save, explorer)
        assert began.wait(60)
        for _ in range(2):
            pool.submit(click_words, explorer)
    saving.result()
    check_page(explorer, models, tokenizer, saved)
    check_last_click(explorer, models, tokenizer)


def test_without_a_loop_no_two_events_are_answered_at_once(explorer):
    inside, seen = [], []

    def answer():
        inside.append(1)
        time.sleep(0.01)
        seen.append(len(inside))
        inside.pop()

    with ThreadPoolExecutor(4) as pool:
        [*pool.map(lambda _: explorer.serve(answer), range(8))]
    assert seen == [1] * 8


async def settled(explorer) -> None:
    """Waits until the knock-outs are there."""
    await asyncio.wait_for(asyncio.shield(explorer.waiting), timeout=60)


def test_knock_outs_are_those_of_the_last_click(models, tokenizer):
    async def click():
        explorer = Explorer(models, tokenizer, TEXT)
        calls, shown = calls_of(explorer), []
        assert explorer.needed.value == "" and said(explorer)
        for position in (3, 5, 4):
            explorer.words.index = position
            await asyncio.sleep(0)
        await settled(explorer)
        assert Page(explorer.needed.value).find("mt-knock")[0]["data-for"] == "4"
        assert "mt-waiting" not in explorer.needs._dom_classes
        assert len(calls) == 2
        # Once known they are shown at once, never blank, so the page does not jump.
        explorer.needed.observe(lambda change: shown.append(change.new), "value")
        explorer.layer.value, explorer.head.value = "1", "2"
        assert shown and all(shown) and "mt-waiting" not in explorer.needs._dom_classes

    asyncio.run(click())


# What it refuses, and what it withstands.


def test_a_refused_sentence_ends_the_knock_outs_of_the_one_before(models, tokenizer):
    async def refuse():
        explorer = Explorer(models, tokenizer, TEXT)
        waiting, explorer.text.value = explorer.waiting, ""
        await asyncio.sleep(20 * turns.PAUSE)
        assert waiting.cancelled() and refused(explorer)

    asyncio.run(refuse())


@pytest.mark.parametrize(
    "text, alert",
    [
        ("", "There is no word in the text"),
        (" \n\t ", "There is no word in the text"),
        ("word " * 63, "63 words; the model takes at most 62"),
        ("word " * 10_000, "10000 words; the model takes at most 62"),
        ("the half \ufffd of it", "� is half a character"),
        ("a \ude00\ud83d dog", "� is half a character"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_a_refused_sentence_is_told_in_one_and_nothing_stays(
    text, alert, explorer, models, tokenizer, saved
):
    explorer.guess.value, old = "cat", [*explorer.words.buttons]
    explorer.text.value = text
    told = refused(explorer)
    assert alert in told and explorer.words.buttons == []
    for button in (old[3], explorer.layer.buttons[0], explorer.head.buttons[1]):
        button.click()
    explorer.guess.value = "dog"
    explorer.change.by.value = "cat"
    explorer.change.compare.click()
    assert "no answer yet" in text_of(explorer.change.told)
    explorer.change.clear()
    for button in (explorer.save_picture, explorer.save_page):
        button.click()
        assert "no answer yet" in explorer.saved.value and not saved.exists()
    assert refused(explorer) == told == refused(Explorer(models, tokenizer, text))
    json.dumps(explorer.text.get_state(), default=str, ensure_ascii=False).encode()
    explorer.text.value = "the cat"  # and it goes on
    assert "The model says" in said(explorer) and ", head 1" in explorer.scale.value


def test_what_is_seen_as_one_character_is_shown_as_one(explorer):
    explorer.text.value = "👩🏽‍🚀 می‌خواهم e\u0301 a\u202eb \ud83d\ude00"
    assert explorer.words.options == ("👩🏽‍🚀", "می‌خواهم", "é", "ab", "😀")
    assert "stood there: 👩🏽‍🚀. The model does not know it" in said(explorer)


ODD = ["zzz", "😀 東京 שלום", "\0", "<unk>", "[MASK]", "x" * 9_999, "the " * 62]
ODD += ["<img src=x onerror=alert(1)>", "</style><script>", "' onclick='x"]


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:24]))
def test_odd_input_gets_a_result_that_can_be_sent(text, explorer):
    explorer.text.value = text
    for position in range(min(8, len(explorer.words.options))):
        explorer.words.index = position
        explorer.guess.value = text[:99]
        assert "The model says" in said(explorer)
        explorer.change.by.value = text[:99]
        explorer.change.compare.click()
        parts = "card", "needed", "heads", "own", "other"
        written = "".join(getattr(explorer, part).value for part in parts)
        written += explorer.change.told.value
        tags = "div section p b bdi table caption tr th td span i button".split()
        assert {e["tag"] for e in Page(written).elements} <= {*tags}
        assert [e["tag"] for e in Page(explorer.style.value).elements] == ["style"]
        assert explorer.style.value.count("<") == 2
    for part in below(explorer.box):
        json.dumps(part.get_state(), ensure_ascii=False, default=str).encode()
    assert all(len(o) < 100 and o.isprintable() for o in explorer.words.options)
    assert said(explorer).replace("\u00a0", " ").isprintable()


@pytest.mark.parametrize("name", ["with", "without"])
def test_an_error_is_shown_and_not_repeated_and_nothing_stays(name, models, tokenizer):
    """Without a loop, and with one, where it comes in the knock-outs of the first."""
    error = RuntimeError("no <b>memory</b> left")
    explorer = Explorer(models, tokenizer, TEXT)
    calls_of(explorer, name, error)
    explorer.text.value = "the cat"
    explorer.model.value = name
    assert refused(explorer) == "⚠ no <b>memory</b> left"

    async def wait():
        explorer = Explorer(models, tokenizer, TEXT)
        calls = calls_of(explorer, name, error)
        await settled(explorer)
        assert refused(explorer) == "⚠ no <b>memory</b> left" and len(calls) == 1

    asyncio.run(wait())


def test_an_interrupt_leaves_nothing_of_the_sentence_before(explorer):
    calls_of(explorer, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        explorer.text.value = "the cat"
    assert said(explorer) == "" and explorer.words.options == ()


def test_what_becomes_of_the_models_changes_no_answer(models, tokenizer):
    models |= {"noisy": build(2, dropout=0.5).train()}
    explorer = Explorer(models, tokenizer, TEXT, position=3)
    explorer.model.value = "noisy"
    before = explorer.card.value, explorer.needed.value, explorer.other.value
    for weight in models["with"].train().parameters():
        weight.data.zero_()
    models["without"].to("meta")
    for text in (SECOND, TEXT):
        explorer.text.value = text
    explorer.words.index = 3
    after = explorer.card.value, explorer.needed.value, explorer.other.value
    assert after == before and "without" in before[2]
    assert models["with"].training and models["noisy"].training


SIZES = [{"n_layers": 1}, {"n_layers": 3}, {"n_heads": 4}, {"max_length": 8}]
REFUSED = [
    ({"position": "king"}, "text, position is .*'king'.; give a text, and a whole"),
    ({"position": 1.5}, "text, position is .* 1.5.; give a text, and a whole"),
    ({"text": None}, "text, position is .None, None.; give a text"),
    ({"examples": {"x": "the king"}}, "x is 'the king'; give a text"),
    ({"examples": {"x": ("the king", "1")}}, "x is .'the king', '1'.; give a text"),
    ({"models": [5]}, r"models is \[5\]…; give a dict from names, strings, to models"),
    ({"models": {5: 5}}, "models is {5: 5}…; give a dict from names, strings"),
    ({"models": {}}, "There is no model to explore"),
    ({"tokenizer": WordTokenizer(SPECIALS)}, ".*tokenizer has 5 words.*vocab_size 18"),
]


@pytest.mark.parametrize("change, told", REFUSED + [(s, "") for s in SIZES])
def test_what_cannot_be_explored_is_refused(change, told, models, tokenizer):
    if change in SIZES:
        ((name, size),) = change.items()
        told = rf".* differ in {name} \(with: \d+, other: {size}\); give each its own"
        change = {"models": {"with": models["with"], "other": build(**change)}}
    given = {"models": models, "tokenizer": tokenizer, "text": TEXT}
    with pytest.raises(ValueError, match=f"^{told}"):
        Explorer(**given | change)
    Explorer(**given, position=np.int64(1), examples={"x": ["the cat", None]})


def test_what_is_refused_at_first_is_displayed_and_goes_on(
    models, tokenizer, monkeypatch
):
    explorer = Explorer(models, tokenizer, "a cat .", position=7)
    assert refused(explorer) == "⚠ There is no word 7; choose 0 to 2."
    forms = displayed(explorer, monkeypatch)
    assert "application/vnd.jupyter.widget-view+json" in forms
    explorer.text.value = "the cat"
    assert pressed(explorer.words) == [0]
    next(models["with"].parameters()).data.fill_(float("nan"))
    assert "not finite" in refused(Explorer(models, tokenizer, TEXT))


# What is displayed and saved.


def displayed(explorer, monkeypatch) -> dict:
    """The forms of the cell's one output."""
    sent = []
    for module in (figure, widget):
        monkeypatch.setattr(module, "display", lambda *a, **k: sent.append((a, k)))
    explorer._ipython_display_()
    (((forms,), options),) = sent
    return forms


@pytest.mark.parametrize("text", [TEXT, "the cat and the dog saw " * 4])
def test_one_output_holds_the_widget_a_picture_and_a_text(
    text, models, tokenizer, monkeypatch
):
    explorer = Explorer(models, tokenizer, text, position=4)
    forms = displayed(explorer, monkeypatch)
    view = forms["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == explorer.box.model_id
    shown = base64.b64decode(forms["text/html"].split("base64,")[1].rstrip('">'))
    assert shown == explorer.views.picture(explorer.choice())
    assert "[CLS] the cat and the [MASK] saw" in forms["text/plain"]
    assert f'alt="{forms["text/plain"]}"' in html.unescape(forms["text/html"])
    states = [part.get_state() for part in below(explorer.box)]
    assert len(json.dumps([forms, states], default=str)) < 300_000


def test_only_stock_widgets_that_both_versions_have(explorer, models, tokenizer):
    kinds = {type(part)._model_name.default_value for part in below(explorer.box)}
    allowed = "VBox HBox Text HTML Label Dropdown Button".split()
    assert kinds <= {f"{name}Model" for name in allowed}
    assert explorer.text.continuous_update is False
    alone = Explorer({"with": models["with"]}, tokenizer, TEXT)  # needs no choice
    assert alone.model not in below(alone.box) and alone.other.value == ""


def test_the_saved_picture_is_the_view_at_the_click(explorer, saved, monkeypatch):
    picture, downloads = views.Views.picture, []

    def clicked(self, choice):
        explorer.words.index = 5  # a click while it is drawn
        return picture(self, choice)

    monkeypatch.setattr(views.Views, "picture", clicked)
    files = types.SimpleNamespace(download=downloads.append)
    colab = types.SimpleNamespace(files=files)  # whose browser downloads what is saved
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    explorer.model.value, explorer.layer.value = "without", "rollout"
    explorer.words.index = 7
    explorer.save_picture.click()
    (path,) = saved.iterdir()
    assert downloads == [str(path)]
    assert re.fullmatch(r"explorer_pos7_true-u0024_pred-\w+_\w{8}\.png", path.name)
    assert f'data-path="saved/{path.name}"' in explorer.saved.value
    shown = Choice(7, "without", "rollout")
    assert path.read_bytes() == picture(explorer.views, shown)


def test_what_differs_is_saved_under_another_name(explorer, saved):
    """And a save that fails leaves the prediction."""
    saved.write_text("a file where the folder should be", "utf-8")
    explorer.save_picture.click()
    assert "cannot be written (" in explorer.saved.value
    assert "The model says" in said(explorer)
    saved.unlink()
    for text, head in (TEXT, 0), (TEXT, 1), (TEXT.replace(".", "!"), 1), (TEXT, 1):
        explorer.text.value, explorer.head.index = text, head
        explorer.save_picture.click()
    assert len([*saved.iterdir()]) == 3


def test_a_slug_is_safe_for_any_token():
    odd = ["–", "/", "..", '"', "<unk>", "[MASK]", "\0", "\ud800", "CON", "é", "x" * 99]
    assert all(re.fullmatch(r"\w{1,24}", views.slug(token), re.ASCII) for token in odd)
    slugs = [views.slug(token) for token in ("In", "–", "/", "[UNK]")]
    assert slugs == ["In", "u2013", "u002f", "UNK"]


def test_the_saved_page_begins_with_what_is_seen(models, tokenizer, saved):
    explorer = Explorer(models, tokenizer, "the <b> cat saw $5 .", position=2)
    explorer.head.value, explorer.layer.value = "2", "1"
    explorer.model.value = "without"
    explorer.save_page.click()
    (path,) = saved.iterdir()
    source = path.read_text("utf-8")
    given = re.search(r'id="given">(.*?)</script>', source)[1]
    assert "<" not in given  # so that nothing in it can end the script
    assert json.loads(given)["start"] == {
        "text": "the <b> cat saw $5 .",
        "position": 2,
        "model": "without",
        "layer": "0",
        "head": "1",
        "paint": "attention",
    }
    explorer.layer.value, explorer.paint.index = "rollout", 1
    explorer.save_page.click()
    (other,) = {*saved.iterdir()} - {path}
    start = '"layer": "rollout", "head": "", "paint": "need"'
    assert start in other.read_text("utf-8")


def test_a_model_that_the_page_cannot_run_is_told_in_a_sentence(tokenizer, saved):
    explorer = Explorer({"old": build(positions="learned")}, tokenizer, TEXT)
    explorer.save_page.click()
    assert "The page runs models with rotary positions" in explorer.saved.value
    assert not saved.exists()


# What there is more to try.


ROUND = [(TEXT.split(), 1), (SECOND.split(), 2)]


@pytest.fixture
def game(explorer, tokenizer):
    """A game of two sentences with the explorer's first model."""
    made = play.Game(ROUND, tokenizer, explorer.game.predict, explorer.guarded)
    made.go.click()
    return made


def test_a_round_is_scored_against_the_model(game, models, tokenizer):
    yours = expected = 0
    for number in (1, 2):
        words, position = game.words, game.position
        word = words[position]
        fresh = fill_mask(models["with"], tokenizer, words, position)
        asked = Page(game.sentence.value)
        assert asked.text.split() == [*words[:position], "?", *words[position + 1 :]]
        assert f"Sentence {number} of 2" in text_of(game.told)
        game.go.click()  # too early: it is not shown now
        game.reveal.click()  # and without a guess nothing is revealed
        assert game.asked == number and game.sentence.value and game.open
        game.guess.value = "zyzzyva" if number == 1 else word.upper()
        for _ in range(2):  # the second press is too late
            game.reveal.click()
        yours, expected = yours + (number == 2), expected + (fresh.pred == word)
        told = text_of(game.told)
        assert f"It was {word}. You said {game.guess.value}: " in told
        assert f"After {number} of 2: you {yours}, the model {expected}." in told
        assert text_of(game.sentence).split() == words
        game.go.click()
    assert (game.asked, game.yours, game.models) == (1, 0, 0)  # another round


def test_a_near_miss_and_an_error_are_told(game, explorer, models, tokenizer):
    fresh = fill_mask(models["with"], tokenizer, game.words, game.position)
    second = next(w for w, _ in fresh.top[1:] if w != game.words[game.position])
    game.guess.value = second
    calls_of(explorer, error=RuntimeError("no memory left"))
    game.reveal.click()
    assert "no memory left" in text_of(game.told) and game.open
    explorer.models["with"]._forward_hooks.clear()
    game.reveal.click()
    assert "counted it among its first five" in text_of(game.told)


def test_a_changed_word_is_compared_and_kept(explorer, models, tokenizer):
    change, changed = explorer.change, TEXT.split()
    explorer.words.index = 4
    change.word.index, change.by.value = 1, "dog"
    change.compare.click()
    before = fill_mask(models["with"], tokenizer, TEXT, 4)
    changed[1] = "dog"
    after = fill_mask(models["with"], tokenizer, " ".join(changed), 4)
    page = Page(change.told.value)
    assert page.numbers("p") == near([after.p_target])
    assert card.points(after.p_target - before.p_target) in page.text
    assert page.numbers("tr") == near([p for _, p in before.top + after.top])
    explorer.words.index = 5
    assert change.told.value == "" and change.keep.layout.display == "none"
    for by, told in {"a b": "one word", "": "one word", "dog": "is hidden"}.items():
        change.word.index, change.by.value = 5 if by == "dog" else 1, by
        change.compare.click()
        assert told in text_of(change.told)
    change.word.index, change.by.value = 1, "dog"
    change.compare.click()
    change.keep.click()
    assert pressed(explorer.words) == [5] and explorer.words.options[1] == "dog"
    assert change.told.value == "" and change.word.options[1] == ("dog", 1)


@pytest.mark.parametrize("words, playable", [("war in the city", True), ("x y", False)])
def test_the_game_has_sentences_whose_word_the_model_knows(words, playable):
    known = WordTokenizer([*SPECIALS, *words.split()])
    explorer = Explorer({"one": build(vocab_size=len(known))}, known, "the city")
    assert (explorer.game.part in explorer.more.children) == playable
    for words, position in explorer.game.sentences:
        assert words[position] in known.ids


class Halves(WordTokenizer):
    """Cuts long words in two, as a tokenizer of another kind may do."""

    def split(self, text: str) -> list[str]:
        pairs = ([w[:4], f"##{w[4:]}"] if w[4:] else [w] for w in split_words(text))
        return [piece for pair in pairs for piece in pair]


def test_a_hidden_word_is_found_among_the_pieces_of_others():
    ((words, position),) = play.playable(Halves([*SPECIALS, "days"]), 62)
    assert (words[:3], words[position]) == (["The", "stor", "##m"], "days")
    assert play.playable(Halves([*SPECIALS, "days"]), 9) == []
