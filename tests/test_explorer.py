"""The explorer, driven through its traits as a page would drive it."""

import asyncio
import base64
import copy
import io
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
from PIL import Image

from explorer import Explorer, card, controls, predict, views, widget
from explorer.heatmap import percent
from explorer.knockout import rank_correlation, without_heads, without_words
from explorer.predict import fill_mask
from explorer.views import Choice
from helpers import figure
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import SPECIALS, WordTokenizer

TEXT = "the cat and the dog saw the $5 – ship ."
SIZES = {"n_layers": 2, "n_heads": 2, "d_model": 16, "d_ff": 16}


def build(seed: int, vocab_size: int) -> MaskedLanguageModel:
    torch.manual_seed(seed)
    model = MaskedLanguageModel(ModelConfig(vocab_size=vocab_size, **SIZES)).eval()
    for weight in model.parameters():
        weight.data *= 8  # far from even, so that mistakes show
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer([*SPECIALS, *"the cat and dog saw $ 5 – . a < > img".split()])


@pytest.fixture
def models(tokenizer):
    return {"with": build(0, len(tokenizer)), "without": build(1, len(tokenizer))}


@pytest.fixture
def explorer(models, tokenizer):
    return Explorer(models, tokenizer, TEXT)


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

    def find(self, css: str) -> list[dict]:
        """Elements of a class; a tag's name finds those of that tag."""
        return [
            e for e in self.elements if css in (e["tag"], *e.get("class", "").split())
        ]


def said(explorer) -> str:
    return Page(explorer.card.value).text


def alphas(explorer) -> list[float]:
    """The strength of blue of [CLS], each word button and [SEP]."""
    first, last = (
        re.search(rf"{name}: ([\d.]+)", explorer.style.value)[1]
        for name in ("--cls", "--sep")
    )
    inner = re.findall(r"nth-child\(\d+\) \{--a: ([\d.]+)", explorer.style.value)
    return [float(blue) for blue in (first, *inner, last)]


def marked(explorer, sign: str) -> list[int]:
    """The positions of the words whose style has a sign."""
    rules = re.findall(r"nth-child\((\d+)\) \{(.*?)\}", explorer.style.value)
    return [int(i) - 1 for i, rule in rules if sign in rule]


def ringed(explorer) -> list[int]:
    """The positions of the words with a red ring."""
    found = marked(explorer, "var(--ring)")
    assert found == marked(explorer, "[MASK]") == marked(explorer, "bold")
    return found


def pressed(row) -> list[int]:
    """The buttons that show that they are pressed, to the eye and in words."""
    buttons = row.buttons
    seen = [i for i, b in enumerate(buttons) if "mod-active" in b._dom_classes]
    told = [i for i, b in enumerate(buttons) if b.tooltip.endswith(row.pressed)]
    assert seen == told
    return seen


def refused(explorer) -> str:
    """The sentence that the explorer shows in place of a result."""
    assert 'role="alert"' in explorer.card.value
    return said(explorer)


def expected(prediction, layer=-1, head=None) -> list[float]:
    """The blue of each token as it ought to be."""
    share_S = prediction.attention(layer, head)
    return (0.8 * share_S / share_S.max()).tolist()


def test_a_click_shows_what_a_fresh_forward_pass_says(explorer, models, tokenizer):
    for position in (3, 7, 0):
        explorer.words.index = position
        fresh = fill_mask(models["with"], tokenizer, TEXT, position)
        page = Page(explorer.card.value)
        assert f"PRED: {fresh.pred} {percent(fresh.p_pred)}:" in page.text
        rank = f"{percent(fresh.p_true)}, rank {fresh.rank_true} of 13"
        assert f"TRUE: {fresh.true} {rank}" in page.text
        (true,), (pred,) = page.find("mt-true"), page.find("mt-pred")
        assert float(true["data-p"]) == pytest.approx(fresh.p_true, abs=1e-6)
        assert float(pred["data-p"]) == pytest.approx(fresh.p_pred, abs=1e-6)
        assert ("right ✓" in page.text) == (fresh.pred == fresh.true)
        for row, (word, p) in zip(page.find("tr"), fresh.top, strict=True):
            assert row["data-word"] == word
            assert float(row["data-p"]) == pytest.approx(p, abs=1e-6)
            assert f"{word}{percent(p)}" in page.text
        assert page.find("mt-card")[0]["data-position"] == str(position)
        assert alphas(explorer) == pytest.approx(expected(fresh), abs=1e-3)


def test_of_equal_words_only_the_clicked_one_is_masked(explorer):
    labels = [button.description for button in explorer.words.buttons]
    assert labels == predict.split_words(TEXT) and labels.count("the") == 3
    for position in (6, 3, 0):
        explorer.words.buttons[position].click()
        assert pressed(explorer.words) == [position]
        assert Page(explorer.card.value).find("mt-card")[0]["data-position"] == str(
            position
        )
        assert ringed(explorer) == [position]


def test_layer_and_head_are_those_that_the_card_names(explorer, models, tokenizer):
    explorer.words.index = 4
    chosen = fill_mask(models["with"], tokenizer, TEXT, 4)
    for layer, head, name, given in (
        ("mean", "mean", "mean of all layers, mean of all heads", (None, None)),
        ("1", "mean", "layer 1, mean of all heads", (0, None)),
        ("2", "1", "layer 2, head 1", (1, 0)),
        ("mean", "2", "mean of all layers, head 2", (None, 1)),
        ("rollout", "2", "rollout through all layers, mean of", ("rollout", None)),
    ):
        explorer.layer.value, explorer.head.value = layer, head
        assert f"Attention of the masked position ({name}" in said(explorer)
        largest = float(chosen.attention(*given).max())
        scale = Page(explorer.scale.value)
        assert f"{percent(largest)}; uniform would be 7.1 %" in scale.text
        exact = float(scale.find("mt-scale")[0]["data-vmax"])
        assert exact == pytest.approx(largest, abs=1e-6)
        assert alphas(explorer) == pytest.approx(expected(chosen, *given), abs=1e-3)
        # A blank choice is what a reader sees where a value is None.
        assert explorer.layer.value == layer and explorer.head.value == head
        for row in (explorer.layer, explorer.head):
            assert pressed(row) == [row.index]


def test_the_sentence_for_those_who_do_not_see_names_the_words(explorer):
    (status,) = (e for e in Page(explorer.card.value).elements if "role" in e)
    assert status["role"] == "status"
    shares = re.findall(r"(“.+?”|itself|\[CLS\]|\[SEP\]) ([\d.]+) %", said(explorer))
    assert [name for name, _ in shares[3:]] == ["itself", "[CLS]", "[SEP]"]
    top = [float(share) for _, share in shares[:3]]
    assert top == sorted(top, reverse=True)


def test_a_click_or_choice_leaves_the_buttons_alone(explorer):
    before, changed = [*explorer.words.children], []
    for part in (explorer.words, *before):
        part.observe(lambda change: changed.append(change.name))
    explorer.words.index = 5
    explorer.layer.index, explorer.head.index = 0, 2
    explorer.model.value = "without"
    assert {*changed} == {"index", "_dom_classes", "tooltip"}
    assert [*explorer.words.children] == before


def test_a_click_on_the_masked_word_leaves_it_masked(explorer):
    for _ in range(2):
        explorer.words.buttons[3].click()
        assert pressed(explorer.words) == [3] == ringed(explorer)


def test_buttons_of_a_former_sentence_are_closed_and_answer_no_more(explorer):
    old = [*explorer.words.buttons]
    explorer.text.value = "a cat saw the dog"
    assert {button.comm for button in old} == {None}
    old[3].click()
    assert explorer.words.index == 0 and ringed(explorer) == [0]


def test_of_clicks_to_and_fro_the_last_one_wins(explorer):
    for row in (explorer.words, explorer.layer, explorer.head):
        first, second = row.buttons[0], row.buttons[2]
        for button in (first, second, first):
            button.click()
        assert pressed(row) == [0]
    assert ringed(explorer) == [0]
    assert "mean of all layers, mean of all heads" in said(explorer)


def test_a_sentence_is_predicted_once_and_knocked_out_once(explorer, models):
    calls = []
    explorer.models["with"].register_forward_hook(lambda *_: calls.append(1))
    explorer.text.value = "a cat ."
    assert len(calls) == 3  # all positions, then words and heads of the first
    for position in (1, 2, 0, 1):
        explorer.words.index = position
    assert len(calls) == 3 + 2 * 2
    explorer.layer.index, explorer.head.index = 0, 2
    assert len(calls) == 7


def test_the_other_model_answers_for_the_same_word(explorer, models, tokenizer):
    explorer.words.index = 3
    explorer.model.value = "without"
    fresh = fill_mask(models["without"], tokenizer, TEXT, 3)
    assert explorer.words.index == 3
    assert f"PRED: {fresh.pred} {percent(fresh.p_pred)}" in said(explorer)


@pytest.mark.parametrize("order", [1, -1])  # the larger share is once the second's
def test_two_models_are_painted_on_one_scale(models, tokenizer, order):
    models = dict([*models.items()][::order])
    explorer = Explorer(models, tokenizer, TEXT, position=3)
    explorer.model.value = "side by side"
    page = Page(explorer.card.value)
    assert len(page.find("mt-card")) == len(page.find("mt-strip")) == 2
    assert [e["data-position"] for e in page.find("mt-card")] == ["3", "3"]
    fresh = [fill_mask(models[m], tokenizer, TEXT, 3) for m in models]
    vmax = max(float(p.attention().max()) for p in fresh)
    assert float(Page(explorer.scale.value).find("mt-scale")[0]["data-vmax"]) == (
        pytest.approx(vmax, abs=1e-6)
    )
    blue = [
        float(e["style"].removeprefix("--a:"))
        for e in page.find("span")
        if e.get("style", "").startswith("--a:")
    ]
    both = torch.cat([p.attention() for p in fresh])
    assert blue == pytest.approx((0.8 * both / vmax).tolist(), abs=1e-3)
    assert len(page.find("mt-ring")) == 2
    assert set(alphas(explorer)) == {0}  # the buttons belong to neither
    assert ringed(explorer) == [3]
    knocked = Page(explorer.knocked.value)
    assert len(knocked.find("mt-knock")) == len(knocked.find("mt-heads")) == 2
    bars = [float(e["style"].removeprefix("--w:")) for e in knocked.find("mt-bar")]
    inner = torch.cat([p.attention()[[1, 2, 3, *range(5, 13)]] for p in fresh])
    assert bars == pytest.approx((inner / vmax).tolist(), abs=1e-3)


def test_knock_outs_stand_beside_the_attention(explorer, models, tokenizer):
    for position in (3, 10):  # the second of a word outside the vocabulary
        explorer.words.index = position
        explorer.layer.value, explorer.head.value = "1", "2"
        fresh = fill_mask(models["with"], tokenizer, TEXT, position)
        left_S = without_words(models["with"], tokenizer, fresh)
        left_NH = without_heads(models["with"], tokenizer, fresh)
        page = Page(explorer.knocked.value)
        assert page.find("mt-knock")[0]["data-for"] == str(position)
        rows = [e for e in page.find("tr") if "data-position" in e]
        others = [i for i in range(12) if i != position]
        assert [int(row["data-position"]) for row in rows] == others
        share_S = fresh.attention(0, 1)[1:-1]
        for row, i in zip(rows, others, strict=True):
            assert float(row["data-p"]) == pytest.approx(float(left_S[i]), abs=1e-6)
            exact = float(row["data-attention"])
            assert exact == pytest.approx(float(share_S[i]), abs=1e-6)
            change = card.points(float(left_S[i]) - fresh.p_target)
            assert f"{percent(left_S[i])}{change}" in page.text
        cells = [e for e in page.find("td") if "data-head" in e]
        exact = [float(e["data-p"]) for e in cells]
        assert exact == pytest.approx(left_NH.flatten().tolist(), abs=1e-6)
        where = [(e["data-layer"], e["data-head"]) for e in cells]
        assert where == [(n, h) for n in "12" for h in "12"]
        known = [i for i in others if i != 10]  # “ship” is outside the vocabulary
        rho = rank_correlation(share_S[known], fresh.p_target - left_S[known])
        assert f"(Spearman) of attention and fall: {rho:.2f}".replace("-", "−") in (
            page.text
        )
        assert "one sentence" in page.text
        assert f"p({fresh.target})" in page.text


def returned(steps):
    """What long work returns in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def page_alone(explorer, models, tokenizer, text: str, choice: Choice) -> str:
    """The page as it ought to be saved: models, views and thread of its own."""
    fresh = views.Views(copy.deepcopy(models), tokenizer, text, explorer.scope)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(returned, fresh.page(choice, explorer.layers)).result()


SECOND = "a dog saw the cat and the cat saw $ 5 – a dog and the cat ."
BOTH = Choice(2, ("with", "without"), 1)


def begin_save(explorer) -> None:
    """After a change of sentence, saves the page of two models and one word."""
    explorer.text.value = SECOND
    explorer.model.value = "side by side"
    explorer.words.index = BOTH.position
    explorer.save_page.click()


def click_words(explorer) -> None:
    """Clicks every word, then word 4."""
    for button in (*explorer.words.buttons, explorer.words.buttons[4]):
        button.click()
        time.sleep(0.01)


def check_after_clicks(explorer, models, tokenizer, saved) -> None:
    """The page is that of the moment of the save, the card that of the last click."""
    (path,) = saved.iterdir()
    expected = page_alone(explorer, models, tokenizer, SECOND, BOTH)
    assert path.read_text("utf-8") == expected
    assert path.name.startswith("explorer_pos2_true-saw_")
    assert pressed(explorer.words) == [4] == ringed(explorer)
    fresh = fill_mask(models["with"], tokenizer, SECOND, 4)
    left_NH = without_heads(models["with"], tokenizer, fresh)
    page = Page(explorer.card.value)
    p = float(page.find("mt-true")[0]["data-p"])
    assert p == pytest.approx(fresh.p_true, abs=1e-6)
    cells = [e for e in Page(explorer.knocked.value).find("td") if "data-head" in e]
    shown = [float(e["data-p"]) for e in cells[: left_NH.numel()]]
    assert shown == pytest.approx(left_NH.flatten().tolist(), abs=1e-6)


@pytest.fixture
def reader(models, tokenizer):
    """Asks the reader's own model in a thread; yields the answers, of words 3 and 7."""
    asked, going_on = [], True

    def ask():
        while going_on:
            found = fill_mask(models["with"], tokenizer, TEXT, 3)
            left_W = without_words(models["with"], tokenizer, found)
            left_NH = without_heads(models["with"], tokenizer, found)
            asked.append((found.p_pred, *left_W.tolist(), *left_NH.flatten().tolist()))
        return {*asked}

    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(ask)
        try:
            yield task
        finally:
            going_on = False
        assert len(task.result()) == 1 < len(asked)


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
    check_after_clicks(explorer, models, tokenizer, saved)


def test_clicks_without_a_loop_wait_for_each_other(models, tokenizer, saved, reader):
    explorer = Explorer(models, tokenizer, TEXT)
    with ThreadPoolExecutor(3) as pool:
        saving = pool.submit(begin_save, explorer)
        while "Saving" not in explorer.saved.value and not saving.done():
            time.sleep(0.0001)
        for _ in range(2):
            pool.submit(click_words, explorer)
    saving.result()
    check_after_clicks(explorer, models, tokenizer, saved)


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


def test_other_events_are_served_while_a_page_is_saved(models, tokenizer, saved):
    async def save():
        explorer = Explorer(models, tokenizer, TEXT)
        begin_save(explorer)
        for position in (5, 6):
            explorer.words.buttons[position].click()
            await asyncio.wait_for(asyncio.shield(explorer.waiting), timeout=30)
            assert Page(explorer.knocked.value).find("mt-knock")
            assert not saved.exists() and ringed(explorer) == [position]
        explorer.text.value = "a cat ."
        while "data-path" not in explorer.saved.value:
            await asyncio.sleep(0.01)
        (path,) = saved.iterdir()
        assert path.name in explorer.saved.value and "_pos2_" in path.name
        expected = page_alone(explorer, models, tokenizer, SECOND, BOTH)
        assert path.read_text("utf-8") == expected

    asyncio.run(save())


def test_a_picture_has_the_name_of_what_it_shows(explorer, saved, monkeypatch):
    picture = views.Views.picture

    def clicked(self, choice):
        drawn = picture(self, choice)
        explorer.words.index = 5  # a click while it was drawn
        return drawn

    monkeypatch.setattr(views.Views, "picture", clicked)
    explorer.words.index = 3
    explorer.save_picture.click()
    (path,) = saved.iterdir()
    assert path.name.startswith("explorer_pos3_true-the_")


def test_what_becomes_of_the_models_changes_no_answer(models, tokenizer):
    explorer = Explorer(models, tokenizer, TEXT, position=3)
    explorer.model.value = "side by side"
    before = explorer.card.value, explorer.knocked.value
    models["with"].train()
    for weight in models["with"].parameters():
        weight.data.zero_()
    models["without"].to("meta")
    explorer.text.value = SECOND
    explorer.text.value = TEXT
    explorer.words.index = 3
    assert (explorer.card.value, explorer.knocked.value) == before
    assert models["with"].training


def test_a_model_in_training_mode_is_explored_without_dropout(tokenizer, models):
    config = ModelConfig(vocab_size=len(tokenizer), dropout=0.5, **SIZES)
    noisy = MaskedLanguageModel(config).train()
    explorer = Explorer({"noisy": noisy}, tokenizer, TEXT)
    first = explorer.card.value
    explorer.text.value = SECOND
    explorer.text.value = TEXT
    assert explorer.card.value == first and noisy.training


@pytest.mark.parametrize(
    "sizes, told",
    [
        ({"n_layers": 1}, r"differ in n_layers \(with: 2, other: 1\)"),
        ({"n_layers": 3}, r"differ in n_layers \(with: 2, other: 3\)"),
        ({"n_heads": 4}, r"differ in n_heads \(with: 2, other: 4\)"),
        ({"max_length": 8}, r"differ in max_length \(with: 64, other: 8\)"),
        ({"vocab_size": 9}, r"differ in vocab_size \(with: 18, other: 9\)"),
    ],
)
def test_models_of_other_sizes_are_refused(models, tokenizer, sizes, told):
    config = ModelConfig(**({"vocab_size": len(tokenizer)} | SIZES | sizes))
    models = {"with": models["with"], "other": MaskedLanguageModel(config)}
    with pytest.raises(ValueError, match=told + "; give each its own explorer"):
        Explorer(models, tokenizer, TEXT)


def test_a_tokenizer_of_another_size_and_no_model_are_refused(models, tokenizer):
    other = WordTokenizer([*tokenizer.words, "more"])
    with pytest.raises(ValueError, match="tokenizer has 19 words.*vocab_size 18"):
        Explorer(models, other, TEXT)
    with pytest.raises(ValueError, match="no model to explore"):
        Explorer({}, tokenizer, TEXT)


def test_a_model_may_be_called_side_by_side(models, tokenizer):
    explorer = Explorer({"side by side": models["with"]}, tokenizer, TEXT)
    assert explorer.choice().models == ("side by side",) and "PRED" in said(explorer)


def test_no_widget_is_left_behind(explorer):
    alive = ipywidgets.widgets.widget._instances
    explorer.text.value = SECOND
    before = len(alive)
    for text in ("a dog .", "", SECOND[::-1], TEXT, "word " * 99) * 4:
        explorer.text.value = text
        explorer.layer.index, explorer.words.index = 1, 0
    explorer.text.value = SECOND
    assert len(alive) == before


@pytest.mark.parametrize("text", ["", "word " * 63, "the half \ufffd of it"])
def test_nothing_of_a_former_sentence_stays_beside_a_refusal(explorer, text):
    explorer.guess.value = "cat"
    old = [*explorer.words.buttons]
    explorer.text.value = text
    shown = explorer.style, explorer.scale, explorer.knocked, explorer.own
    assert [part.value for part in shown] == [""] * 4
    alert = refused(explorer)
    assert explorer.words.buttons == [] and explorer.words.children == (*[],)
    for button in (old[3], explorer.layer.buttons[0], explorer.head.buttons[1]):
        button.click()
    explorer.guess.value = "dog"
    assert refused(explorer) == alert and explorer.own.value == ""
    explorer.text.value = "the cat"
    assert "layer" not in alert and "mean of all layers, head 1" in said(explorer)


def test_a_blank_has_no_true_word(models, tokenizer):
    text = "the cat [MASK] the ____ dog"
    explorer = Explorer(models, tokenizer, text)
    assert explorer.words.options == ("the", "cat", "___", "the", "___", "dog")
    assert ringed(explorer) == [2] and marked(explorer, "[UNK]") == []
    words = [*"the cat".split(), "[MASK]", "the", "[MASK]", "dog"]
    fresh = fill_mask(models["with"], tokenizer, words, 2)
    assert "TRUE: there is none, the word was left blank." in said(explorer)
    assert f"PRED: {fresh.pred} {percent(fresh.p_pred)}" in said(explorer)
    assert "rank" not in said(explorer) and "wrong" not in said(explorer)
    page = Page(explorer.knocked.value)
    assert f"p({fresh.pred})" in page.text and "over the 4 other words" in page.text
    rows = [e for e in page.find("tr") if "data-position" in e]
    left_W = without_words(models["with"], tokenizer, fresh)
    shown = {int(row["data-position"]): float(row["data-p"]) for row in rows}
    for i in (0, 1, 3, 4, 5):
        assert shown[i] == pytest.approx(float(left_W[i]), abs=1e-6)
    explorer.words.index = 1
    assert "TRUE: cat" in said(explorer)
    explorer.text.value = "a dog ___"
    assert ringed(explorer) == [2]


def test_a_blank_is_saved_under_a_name_of_its_own(models, tokenizer, saved):
    explorer = Explorer(models, tokenizer, "the ___ saw", position=1)
    explorer.save_picture.click()
    (path,) = saved.iterdir()
    assert "_true-blank_" in path.name


@pytest.mark.parametrize("text", ["\ud83d", "the \udc00 cat", "a \ude00\ud83d dog"])
def test_half_a_character_is_one_sentence(models, tokenizer, text):
    explorer = Explorer(models, tokenizer, text)
    assert "� is half a character" in refused(explorer)
    explorer.text.value = "the cat"
    assert "PRED" in said(explorer)
    explorer.guess.value = text
    assert "is not one of the 13 words" in Page(explorer.own.value).text
    explorer.text.value = text
    assert "� is half a character" in refused(explorer)
    for field in (explorer.text, explorer.guess):
        json.dumps(field.get_state(), default=str, ensure_ascii=False).encode()
    explorer.text.value = "the \ud83d\ude00 cat"  # both halves are a character
    assert explorer.words.options == ("the", "😀", "cat")


def test_what_is_seen_as_one_character_is_shown_as_one(models, tokenizer):
    explorer = Explorer(models, tokenizer, "👩🏽‍🚀 می‌خواهم e\u0301 a\u202eb")
    assert explorer.words.options == ("👩🏽‍🚀", "می‌خواهم", "é", "ab")
    assert "“👩🏽‍🚀” is outside the vocabulary" in said(explorer)


@pytest.mark.parametrize("position", [3, 10])
def test_no_caption_claims_a_cause(explorer, position):
    explorer.model.value = "side by side"
    explorer.words.index = position
    explorer.guess.value = "cat"
    parts = explorer.card, explorer.knocked, explorer.scale, explorer.own
    told = " ".join(Page(part.value).text.lower() for part in parts)
    assert not {"because", "explains", "important"} & {*re.findall(r"\w+", told)}


def test_a_word_alone_has_no_rank_correlation(models, tokenizer):
    explorer = Explorer(models, tokenizer, "cat")
    assert "fall: not defined" in Page(explorer.knocked.value).text


def test_a_guess_has_its_probability_and_rank(explorer, models, tokenizer):
    explorer.words.index = 3
    fresh = fill_mask(models["with"], tokenizer, TEXT, 3, top_k=99)
    for rank, (word, p) in enumerate(fresh.top, start=1):
        explorer.guess.value = f" {word} "
        (own,) = Page(explorer.own.value).find("mt-own")
        assert (own["data-word"], own["data-rank"]) == (word, str(rank))
        assert float(own["data-p"]) == pytest.approx(p, abs=1e-6)
    for guess in ("ship", "[MASK]", "the cat", "<b>"):
        explorer.guess.value = guess
        assert "is not one of the 13 words" in Page(explorer.own.value).text
        assert Page(explorer.own.value).find("b") == []
    explorer.words.index = 4  # and a guess was for one word
    assert explorer.guess.value == explorer.own.value == ""


def test_an_example_brings_its_sentence_and_its_word(models, tokenizer):
    examples = {"one": ("a cat saw .", 2), "two": ("the dog .", 1)}
    explorer = Explorer(models, tokenizer, TEXT, examples=examples)
    explorer.example.value = "one"
    assert (explorer.text.value, explorer.words.index) == ("a cat saw .", 2)
    explorer.example.value = "two"
    assert (len(explorer.words.options), explorer.words.index) == (3, 1)
    explorer.text.value = "a dog ."
    explorer.example.value = "two"  # again
    assert (explorer.text.value, explorer.words.index) == ("the dog .", 1)
    explorer.words.index = 0
    assert explorer.example.index == 0  # so that a page sends the same choice again
    explorer.example.value = "two"  # though its sentence is still there
    assert explorer.words.index == 1
    explorer.text.value = "a ."
    assert explorer.words.index == 0 and "PRED" in said(explorer)


def test_an_example_that_is_mended_leaves_no_word_behind(models, tokenizer):
    explorer = Explorer(models, tokenizer, TEXT, examples={"one": ("the \ud83d .", 2)})
    for _ in range(2):
        explorer.example.value = "one"
        assert "� is half a character" in refused(explorer)
    explorer.text.value = "a cat saw ."
    assert explorer.words.index == 0


@pytest.mark.parametrize(
    "change, told",
    [
        ({"position": "king"}, "text, position is .*'king'.; give a text, and a whole"),
        ({"position": 1.5}, "text, position is .* 1.5.; give a text, and a whole"),
        ({"text": None}, "text, position is .None, None.; give a text"),
        ({"examples": {"x": "the king"}}, "x is 'the king'; give a text"),
        ({"examples": {"x": ("the king", "1")}}, "x is .'the king', '1'.; give a text"),
        ({"models": [5]}, r"models is \[5\]…; give a dict from names, strings, to mod"),
        ({"models": {5: 5}}, "models is {5: 5}…; give a dict from names, strings"),
    ],
)
def test_what_is_given_in_another_kind_is_refused(models, tokenizer, change, told):
    with pytest.raises(ValueError, match=f"^{told}"):
        Explorer(**{"models": models, "tokenizer": tokenizer, "text": TEXT} | change)
    Explorer(models, tokenizer, TEXT, np.int64(1), {"x": ["the cat", None]})


def test_a_position_beyond_the_sentence_is_refused(models, tokenizer):
    explorer = Explorer(models, tokenizer, "a cat .", position=7)
    assert refused(explorer) == "⚠ There is no word 7; choose 0 to 2."
    explorer.text.value = "the cat"
    explorer.words.index = 1
    assert "TRUE: cat" in said(explorer)


def test_a_refused_sentence_ends_the_knock_outs_of_the_one_before(models, tokenizer):
    async def refuse():
        explorer = Explorer(models, tokenizer, TEXT)
        explorer.guess.value = "cat"
        waiting, explorer.text.value = explorer.waiting, ""
        await asyncio.sleep(20 * controls.PAUSE)
        assert waiting.cancelled() and refused(explorer)
        assert explorer.knocked.value == explorer.own.value == ""
        assert explorer.words.options == ()
        explorer.save_page.click()
        assert "nothing to save" in explorer.saved.value
        assert "PRED" not in said(explorer)

    asyncio.run(refuse())


def test_an_error_in_a_knock_out_is_shown_and_not_repeated(
    models, tokenizer, monkeypatch
):
    calls = []

    def fail(*_):
        calls.append(1)
        raise RuntimeError("no memory left")

    monkeypatch.setattr(views, "without_heads", fail)

    async def wait():
        explorer = Explorer(models, tokenizer, TEXT)
        await asyncio.wait_for(asyncio.shield(explorer.waiting), timeout=30)
        assert refused(explorer) == "⚠ no memory left" and len(calls) == 1

    asyncio.run(wait())


def test_what_is_known_is_shown_at_once(models, tokenizer):
    async def look():
        explorer = Explorer(models, tokenizer, TEXT)
        await asyncio.wait_for(asyncio.shield(explorer.waiting), timeout=30)
        seen = []
        explorer.knocked.observe(lambda change: seen.append(change.new), "value")
        explorer.layer.value = "1"
        explorer.layer.value, explorer.head.value = "rollout", "2"
        assert seen and all(seen)  # never blank, so the page does not jump

    asyncio.run(look())


def test_scores_that_are_not_finite_are_no_prediction(models, tokenizer):
    next(models["with"].parameters()).data.fill_(float("nan"))
    assert "not finite" in refused(Explorer(models, tokenizer, TEXT))


def test_rows_of_buttons_are_named_for_those_who_do_not_see(explorer):
    for row, name in ((explorer.layer, "Layer"), (explorer.head, "Head")):
        tips = [button.tooltip.removesuffix(", chosen") for button in row.buttons]
        assert tips == [f"{name} {option}" for option in row.options]
    tips = [button.tooltip for button in explorer.words.buttons]
    assert tips == ["masked", *[""] * 11]


def test_a_small_change_is_not_drawn_as_a_large_one(explorer):
    found = explorer.views.predictions(explorer.choice())[0]
    left_NH = torch.full((2, 2), found.p_target + 0.0001)
    explorer.views.answers |= {(views.without_heads, "with", 0): left_NH}
    explorer.views.answers |= {(views.without_words, "with", 0): torch.zeros(12)}
    explorer.draw_knocked()
    (_, heads) = explorer.knocked.value.split('<table class="mt-heads">')
    alphas = [float(a) for a in re.findall(r"--a:([\d.]+)", heads)]
    assert alphas == pytest.approx([0.8 * 0.01] * 4, abs=2e-3)
    assert "strongest colour 1.0" in Page(heads).text


def test_a_click_during_the_knock_outs_wins(models, tokenizer):
    calls = []
    models["with"].register_forward_hook(lambda *_: calls.append(1))

    async def click():
        explorer = Explorer(models, tokenizer, TEXT)
        assert len(calls) == 1 and explorer.knocked.value == ""
        for position in (3, 5, 4):
            explorer.words.index = position
            assert said(explorer)
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.shield(explorer.waiting), timeout=30)
        assert Page(explorer.knocked.value).find("mt-knock")[0]["data-for"] == "4"
        assert len(calls) == 3

    asyncio.run(click())


def test_a_new_sentence_starts_at_its_first_word(explorer):
    explorer.words.index = 11
    explorer.text.value = "a dog saw the cat"
    assert explorer.words.index == 0
    assert len(explorer.words.options) == 5
    assert ringed(explorer) == [0]


def test_a_word_outside_the_vocabulary_is_marked_and_cannot_be_right(explorer):
    assert marked(explorer, "[UNK]") == marked(explorer, "dotted") == [10]
    assert "1 of these 12 words" in Page(explorer.scale.value).text
    explorer.words.index = 10
    assert "“ship” is outside the vocabulary" in said(explorer)
    assert Page(explorer.card.value).find("mt-outside")
    assert "rank" not in said(explorer) and not Page(explorer.card.value).find(
        "mt-true"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There is no word in the text"),
        (" \n\t ", "There is no word in the text"),
        ("word " * 63, "63 words; the model takes at most 62"),
        ("word " * 10_000, "10000 words; the model takes at most 62"),
    ],
)
def test_bad_input_gets_one_clear_sentence(explorer, models, tokenizer, text, sentence):
    explorer.text.value = text
    assert sentence in refused(explorer)
    explorer.text.value = "the cat saw"  # and the explorer goes on
    assert "PRED" in said(explorer)
    assert sentence in refused(Explorer(models, tokenizer, text))


@pytest.mark.parametrize(
    "text",
    [
        "zzz",
        "😀 東京 שלום",
        "\0",
        "a\u202eb",
        "<unk>",
        "[MASK]",
        "x" * 9_999,
    ]
    + ["<img src=x onerror=alert(1)>", "</style><script>", "' onclick='x", "the " * 62],
    ids=lambda text: ascii(text[:24]),
)
def test_odd_input_gets_a_result_that_can_be_sent(models, tokenizer, text):
    explorer = Explorer(models, tokenizer, text)
    for position in range(min(8, len(explorer.words.options))):
        explorer.words.index = position
        explorer.guess.value = text[:99]
        assert "PRED" in said(explorer)
        written = explorer.card.value + explorer.knocked.value + explorer.own.value
        tags = "div section p b bdi table caption tr th td span i small".split()
        assert {e["tag"] for e in Page(written).elements} <= {*tags}
        assert [e["tag"] for e in Page(explorer.style.value).elements] == ["style"]
        assert explorer.style.value.count("<") == 2
    parts = "text words style scale card knocked own guess saved".split()
    for part in (getattr(explorer, name) for name in parts):
        json.dumps(part.get_state(), ensure_ascii=False, default=str).encode()
    for label in explorer.words.options:
        assert len(label) < 100
        assert label.isprintable()
    assert said(explorer).isprintable()


def test_an_error_is_shown_and_not_swallowed(explorer, monkeypatch):
    def fail(*_):
        raise RuntimeError("no <b>memory</b> left")

    monkeypatch.setattr(views, "mask_each", fail)
    explorer.text.value = "the cat"
    assert refused(explorer) == "⚠ no <b>memory</b> left"


def test_nothing_stays_where_the_second_model_fails(explorer, monkeypatch):
    mask_each = views.mask_each

    def fail(model, *rest):
        if model is explorer.models["without"]:
            raise RuntimeError("no memory left")
        return mask_each(model, *rest)

    monkeypatch.setattr(views, "mask_each", fail)
    explorer.text.value = "the cat"
    explorer.model.value = "without"
    assert refused(explorer) == "⚠ no memory left"
    shown = explorer.style, explorer.scale, explorer.knocked, explorer.own
    assert [part.value for part in shown] == [""] * 4


def test_an_interrupt_leaves_nothing_of_the_sentence_before(explorer, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(views, "mask_each", interrupt)
    with pytest.raises(KeyboardInterrupt):
        explorer.text.value = "the cat"
    assert said(explorer) == "" and explorer.words.options == ()


def test_only_stock_widgets_that_both_versions_have(explorer):
    def below(part):
        yield part
        for child in getattr(part, "children", ()):
            yield from below(child)

    kinds = {type(part)._model_name.default_value for part in below(explorer.box)}
    allowed = "VBox HBox Text HTML Label ToggleButton Dropdown Button".split()
    assert kinds <= {f"{name}Model" for name in allowed}
    assert explorer.text.continuous_update is False


def displayed(explorer, monkeypatch) -> list:
    sent = []
    for module in (figure, widget):
        monkeypatch.setattr(module, "display", lambda *a, **k: sent.append((a, k)))
    explorer._ipython_display_()
    return sent


def test_one_output_holds_the_widget_a_picture_and_a_text(
    models, tokenizer, monkeypatch
):
    explorer = Explorer(models, tokenizer, TEXT, position=4)
    ((bundle,), options) = displayed(explorer, monkeypatch)[0]
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == explorer.box.model_id
    assert bundle["image/png"].startswith("iVBOR")
    assert "[CLS] the cat and the [MASK] saw" in bundle["text/plain"]
    assert options["metadata"]["image/png"]["alt"] == bundle["text/plain"]


def test_the_picture_of_two_models_shows_both(explorer, monkeypatch):
    explorer.model.value = "side by side"
    ((bundle,), _) = displayed(explorer, monkeypatch)[0]
    shown = base64.b64decode(bundle["image/png"])
    assert shown == explorer.views.picture(explorer.choice())


def test_nothing_is_saved_where_nothing_is_shown(models, tokenizer, saved):
    explorer = Explorer(models, tokenizer, "")
    explorer.save_picture.click()
    explorer.save_page.click()
    assert not saved.exists() and "no word in the text" in refused(explorer)


def test_a_failed_save_leaves_the_prediction(explorer, saved):
    saved.write_text("a file where the folder should be", "utf-8")
    explorer.save_page.click()
    assert "cannot be written (" in explorer.saved.value and "PRED" in said(explorer)


def test_a_refused_first_sentence_is_displayed_too(models, tokenizer, monkeypatch):
    sent = displayed(Explorer(models, tokenizer, ""), monkeypatch)
    assert "application/vnd.jupyter.widget-view+json" in sent[0][0][0]


def test_a_single_model_needs_no_choice(models, tokenizer):
    explorer = Explorer({"with": models["with"]}, tokenizer, TEXT)
    assert explorer.model not in explorer.box.children
    assert "<h4>" not in explorer.card.value


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.setattr(widget, "SAVED", tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("model", ["with", "side by side"])
def test_the_saved_picture_is_the_current_view(explorer, saved, model):
    explorer.model.value, explorer.layer.value = model, "rollout"
    explorer.words.index = 7
    explorer.save_picture.click()
    (path,) = saved.iterdir()
    assert re.fullmatch(r"explorer_pos7_true-u0024_pred-\w+_\w{8}\.png", path.name)
    assert f'data-path="saved/{path.name}"' in explorer.saved.value
    chosen = Choice(7, tuple(explorer.models), "rollout")
    chosen = chosen if "side" in model else Choice(7, ("with",), "rollout")
    figures = explorer.views.heatmaps(chosen)
    parts = [Image.open(io.BytesIO(figure.png(drawn))) for drawn in figures]
    with Image.open(path) as picture:
        assert picture.height == sum(part.height for part in parts)
        top = 0
        for part in parts:
            part = part.convert("RGB")
            below = (0, top, part.width, top + part.height)
            assert picture.crop(below).tobytes() == part.tobytes()
            top += part.height


def test_a_slug_is_safe_for_any_token():
    odd = ["–", "/", "..", '"', "<unk>", "[MASK]", "\0", "\ud800", "CON", "é"]
    for token in (*odd, "x" * 300):
        assert re.fullmatch(r"\w{1,24}", views.slug(token), re.ASCII)
    assert [views.slug(token) for token in ("In", "–", "/", "[UNK]")] == (
        ["In", "u2013", "u002f", "UNK"]
    )


def test_what_differs_is_saved_under_another_name(explorer, saved):
    explorer.save_picture.click()
    explorer.head.value = "1"
    explorer.save_picture.click()
    explorer.text.value = "the cat and the dog saw the $5 – ship !"
    explorer.save_picture.click()
    explorer.save_picture.click()
    assert len([*saved.iterdir()]) == 3


def test_the_saved_page_holds_every_word_in_every_layer(models, tokenizer, saved):
    text = "the <b> cat saw $5 ."
    explorer = Explorer(models, tokenizer, text, position=2)
    explorer.head.value = "2"
    explorer.layer.value = "rollout"  # which takes no head; the other layers do
    explorer.save_page.click()
    (path,) = saved.iterdir()
    source = path.read_text("utf-8")
    assert not re.search(r"https?://|src=|href=|@import|\$\{?[a-z]", source)
    assert source.count("<script") == source.count("</script") == 1
    held = re.search(r"const moments = (.*);", source)[1]
    assert "<" not in held  # so that nothing in it can end the script
    moments = json.loads(held)
    assert len(moments) == len(explorer.words.options) == 9
    for position, moment in enumerate(moments):
        explorer.words.index = position
        assert len(moment["views"]) == 4
        for layer, view in zip(explorer.layers, moment["views"], strict=True):
            explorer.layer.value = layer
            assert f"<style>{view['style']}</style>" == explorer.style.value
            assert view["scale"] == explorer.scale.value
            assert view["card"] == explorer.card.value
            assert view["knocked"] + moment["heads"] == explorer.knocked.value
    assert "[2, 3]" in source  # the word and the layer that were chosen


def test_in_colab_the_browser_downloads_what_is_saved(explorer, saved, monkeypatch):
    given = []
    files = types.SimpleNamespace(download=given.append)
    for name, module in (
        ("google", types.ModuleType("google")),
        ("google.colab", types.SimpleNamespace(files=files)),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    explorer.save_picture.click()
    assert given == [str(path) for path in saved.iterdir()]


def test_what_is_displayed_is_small(models, tokenizer, monkeypatch):
    """The output of the cell and all that a page must be sent for it."""
    explorer = Explorer(models, tokenizer, "the cat and the dog saw " * 4)
    ((bundle,), _) = displayed(explorer, monkeypatch)[0]
    sent = len(json.dumps(bundle))

    def below(part):
        yield part
        for child in getattr(part, "children", ()):
            yield from below(child)

    for part in below(explorer.box):
        sent += len(json.dumps(part.get_state(), default=str))
    assert sent < 300_000
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
