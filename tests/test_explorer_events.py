"""Which events the explorer answers, in which order, and what it displays and saves."""

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

import ipywidgets
import pytest
from explored import MODELS, SECOND, TEXT, TOKENIZER, Explored, Page, near, pressed

from explorer import events, saving, views, widget
from explorer.knockout import without_heads
from explorer.predict import fill_mask
from explorer.views import ViewChoice
from helpers import figure
from helpers.model import MaskedLanguageModel, ModelConfig

CHOSEN = ViewChoice(2, "without")


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """The folder for what is saved."""
    monkeypatch.setattr(saving, "SAVED", tmp_path / "saved")
    return tmp_path / "saved"


def test_the_last_click_wins_and_leaves_the_buttons_alone():
    explorer = Explored()
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


def test_a_new_sentence_starts_at_its_first_word_and_leaves_no_button():
    explorer = Explored()
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


def test_a_sentence_is_predicted_once_and_knocked_out_once():
    explorer = Explored()
    calls = explorer.calls()
    explorer.text.value = "a cat ."
    assert len(calls) == 3  # all positions, then words and heads of the first
    for position in (1, 2, 0, 1):
        explorer.words.index = position
    explorer.layer.index, explorer.head.index = 0, 2
    assert len(calls) == 3 + 2 * 2


def click_words(explorer) -> None:
    """Clicks every word, then word 4."""
    for button in (*explorer.words.buttons, explorer.words.buttons[4]):
        button.click()
        time.sleep(0.01)


def test_clicks_of_other_threads_leave_a_save_right(saved):
    """With a loop, as in a kernel: the clicks come in threads, as in subshells.

    The page is that of the moment of the save, the numbers those of the last click.
    """
    threads = set()

    async def save():
        explorer = Explored()
        explorer.card.observe(lambda _: threads.add(threading.get_ident()), "value")
        explorer.text.value = SECOND
        explorer.model.value = CHOSEN.model
        explorer.words.index = CHOSEN.position
        explorer.save_page.click()
        for _ in range(2):
            await asyncio.to_thread(click_words, explorer)
        while not (saved.exists() and explorer.waiting.done()):
            await asyncio.sleep(0.01)
        return explorer

    explorer = asyncio.run(save())
    assert threads == {threading.get_ident()}
    model = copy.deepcopy(MODELS["without"])
    tokenizers = dict.fromkeys(MODELS, TOKENIZER)
    fresh = views.Views(copy.deepcopy(MODELS), tokenizers, SECOND, explorer.scope)
    (path,) = saved.iterdir()
    assert path.read_text("utf-8") == fresh.page(CHOSEN)
    assert path.name.startswith("explorer_pos2_true-saw_")
    last = fill_mask(model, TOKENIZER, SECOND, 4)
    assert pressed(explorer.words) == [4]
    assert Page(explorer.card).numbers("mt-true") == near([last.p_true])
    after_NH = without_heads(model, TOKENIZER, last)
    assert Page(explorer.heads).numbers("data-p") == near(after_NH)


def test_without_a_loop_no_two_events_are_answered_at_once():
    explorer, inside, seen = Explored("a cat ."), [], []

    def answer():
        inside.append(1)
        time.sleep(0.01)
        seen.append(len(inside))
        inside.pop()

    with ThreadPoolExecutor(4) as pool:
        [*pool.map(lambda _: explorer.serve(answer), range(8))]
    assert seen == [1] * 8


def test_knock_outs_are_those_of_the_last_click():
    async def click():
        explorer = Explored()
        calls, shown = explorer.calls(), []
        assert explorer.needed.value == "" and explorer.said()
        for position in (3, 5, 4):
            explorer.words.index = position
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.shield(explorer.waiting), timeout=60)
        assert Page(explorer.needed).find("mt-knock")[0]["data-for"] == "4"
        assert "mt-waiting" not in explorer.needs._dom_classes
        assert len(calls) == 2
        # Once known they are shown at once, never blank, so the page does not jump.
        explorer.needed.observe(lambda change: shown.append(change.new), "value")
        explorer.layer.value, explorer.head.value = "1", "2"
        assert shown and all(shown) and "mt-waiting" not in explorer.needs._dom_classes
        explorer.words.index = 6
        assert "mt-waiting" in explorer.needs._dom_classes
        waiting, explorer.text.value = explorer.waiting, ""  # which is refused
        await asyncio.sleep(20 * events.PAUSE)
        assert waiting.cancelled() and explorer.refused()

    asyncio.run(click())


# What is displayed and saved.


def displayed(explorer, monkeypatch) -> dict:
    """The forms of the cell's one output."""
    sent = []
    for module in (figure, widget):
        monkeypatch.setattr(module, "display", lambda *a, **k: sent.append((a, k)))
    explorer._ipython_display_()
    (((forms,), options),) = sent
    return forms


VIEW = "application/vnd.jupyter.widget-view+json"


def test_one_output_holds_the_widget_a_picture_and_a_text(monkeypatch):
    explorer = Explored("the cat and the dog saw " * 4, position=4)
    forms = displayed(explorer, monkeypatch)
    assert forms[VIEW]["model_id"] == explorer.box.model_id
    shown = base64.b64decode(forms["text/html"].split("base64,")[1].rstrip('">'))
    assert shown == explorer.views.picture(explorer.choice())
    assert "[CLS] the cat and the [MASK] saw" in forms["text/plain"]
    assert f'alt="{forms["text/plain"]}"' in html.unescape(forms["text/html"])
    states = [part.get_state() for part in explorer.parts()]
    assert len(json.dumps([forms, states], default=str)) < 300_000
    assert VIEW in displayed(Explored(""), monkeypatch)  # though it was refused


def test_only_stock_widgets_that_both_versions_have_and_one_model_no_choice():
    kinds = {type(p)._model_name.default_value for p in Explored("a cat .").parts()}
    allowed = "VBox HBox Text HTML Label Dropdown Button".split()
    assert kinds <= {f"{name}Model" for name in allowed}
    alone = Explored(models={"with": MODELS["with"]})
    assert alone.model not in alone.parts() and alone.other.value == ""


def test_the_saved_picture_is_the_view_and_is_downloaded(saved, monkeypatch):
    explorer, downloads = Explored(), []
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
    shown = ViewChoice(7, "without", "rollout")
    assert path.read_bytes() == explorer.views.picture(shown)


def test_what_differs_is_saved_under_another_name(saved):
    """And a save that fails leaves the prediction."""
    explorer = Explored("the ___ .")
    saved.write_text("a file where the folder should be", "utf-8")
    explorer.save_picture.click()
    assert "cannot be written (" in explorer.saved.value
    assert "The model says" in explorer.said()
    saved.unlink()
    for text, head in ("the ___ .", 0), ("the ___ .", 1), ("the ___ !", 1), (TEXT, 1):
        explorer.text.value, explorer.head.index = text, head
        explorer.save_picture.click()
    names = [path.name for path in saved.iterdir()]
    assert len(names) == 4 and sum("_true-blank_" in name for name in names) == 3


def test_a_slug_is_safe_for_any_token():
    words = "In", "–", "..", "[UNK]", "\ud800", "é", "x" * 99
    slugs = [*map(saving.file_slug, words)]
    assert slugs == ["In", "u2013", "u002eu002e", "UNK", "ud800", "u00e9", "x" * 24]


def test_the_saved_page_begins_with_what_is_seen(saved):
    explorer = Explored("the <b> cat saw $5 .", position=2)
    start = {"text": "the <b> cat saw $5 .", "position": 2, "model": "without"}
    explorer.head.value, explorer.layer.value = "2", "1"
    explorer.model.value = "without"
    for chosen in (
        {"layer": "0", "head": "1", "paint": "attention"},
        {"layer": "rollout", "head": "", "paint": "need"},
    ):
        explorer.save_page.click()
        path = max(saved.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        given = re.search(r'id="given">(.*?)</script>', path.read_text("utf-8"))[1]
        assert "<" not in given  # so that nothing in it can end the script
        assert json.loads(given)["start"] == start | chosen
        explorer.layer.value, explorer.paint.index = "rollout", 1


def test_a_model_that_the_page_cannot_run_is_told_in_a_sentence(saved):
    config = ModelConfig(len(TOKENIZER), n_layers=1, d_model=8, positions="learned")
    explorer = Explored(models={"old": MaskedLanguageModel(config)})
    explorer.save_page.click()
    assert "The page runs models with rotary positions" in explorer.saved.value
    assert not saved.exists()
