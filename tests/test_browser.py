"""The explorer in a real browser: what is done, and what must be seen then."""

import itertools
import json
import re

import pytest
import torch

from explorer.knockout import without_heads, without_words
from explorer.page.build import page_source
from explorer.page.packed_weights import unpacked_copy
from explorer.predict import fill_mask
from helpers import ROOT
from helpers.checkpoint import load_model
from helpers.text import split_words
from tests import fronts, gestures
from tests.fronts import EXAMPLE, TEXT
from tests.gestures import (
    answered,
    card,
    choose,
    enter,
    labels,
    mask,
    numbers,
    part,
    press,
    pressed,
    retype,
    words,
)

if reason := fronts.missing():
    pytest.skip(f"No browser is driven: {reason}.", allow_module_level=True)
expect = fronts.expect

SENTENCE = split_words(TEXT)
LONG = "The king took the city in the winter and the army left the town by the river ."


@pytest.fixture(scope="module")
def trained(front):
    """The model that the explorer shows first, which a page rounds; its tokenizer."""
    model, tokenizer, _ = load_model(ROOT / "weights/dropout.safetensors")
    return unpacked_copy(model) if front.name == "page" else model, tokenizer


@pytest.mark.parametrize("position", [4, 12])
def test_every_number_is_that_of_a_fresh_forward_pass(front, page, trained, position):
    """Of equal words the clicked one is hidden. The page's weights are rounded."""
    fresh = fill_mask(*trained, TEXT, position)
    assert labels(page) == SENTENCE and SENTENCE[4] == SENTENCE[12]
    mask(page, position)
    assert pressed(page) == [position]
    shown, apart = numbers(page), 1e-4 if front.name == "page" else 1e-5

    def check(name: str, expected, key="p"):
        found = torch.tensor([float(row[key]) for row in shown[name]])
        expected = torch.as_tensor(expected).flatten()
        torch.testing.assert_close(found, expected.float(), atol=apart, rtol=0)

    others = [i for i in range(24) if i != position]
    check("top", [p for _, p in fresh.top])
    check("knock", others, "position")
    check("knock", without_words(*trained, fresh)[others])
    check("knock", fresh.attention(None)[1:-1][others], "attention")
    check("heads", without_heads(*trained, fresh))
    cells = [(int(cell["layer"]), int(cell["head"])) for cell in shown["heads"]]
    assert cells == [*itertools.product(range(1, 5), range(1, 9))]
    assert shown["top"][0]["word"] == fresh.pred
    assert f"The model says {fresh.pred}, " in card(page)
    assert f"The word that stood there: {SENTENCE[position]}" in card(page)
    assert ("Right." in card(page)) == (fresh.pred == fresh.true)
    second = shown["top"][1]["word"]
    for guess, told in ((second, "guess number 2"), ("zyzzyva", "of the 1,995 words")):
        enter(page, "guess", guess)
        expect(part(page, "own")).to_contain_text(told)


ODD = [
    ("The zyzzyva was built .", "The model does not know it"),
    ("The king [MASK] the 👩🏽‍🚀 .", "You left a blank"),
    ("<img src=x onerror=alert(1)>", "stood there: img"),
    ("東京 a $x$ <b> & ' \" `", "stood there: $"),
]


@pytest.mark.parametrize("text, told", ODD, ids=["unknown", "blank", "markup", "signs"])
def test_odd_text_is_shown_as_it_is(page, text, told):
    retype(page, text)
    shown = [word.replace("[MASK]", "___") for word in split_words(text)]
    assert labels(page) == shown and pressed(page) == [max(0, "___" in shown and 2)]
    cards = [card(page)]
    for position in {*range(len(shown))} - {*pressed(page)}:
        mask(page, position)
        cards.append(card(page))
    assert told in "".join(cards)
    inside = ".mt-box :is(img, script, b[onclick], .MathJax, mjx-container)"
    assert page.locator(inside).count() == 0


HALF = """box => {
  box.value = "the \\ud83d cat";
  for (const kind of ["input", "change"])
    box.dispatchEvent(new Event(kind, {bubbles: true}));
  box.form?.requestSubmit();
}"""


@pytest.mark.parametrize(
    "text, told",
    [("", "no word"), (" ", "no word"), ("the " * 65, "65 words"), (None, "half a")],
)
def test_a_refused_sentence_gets_a_sentence_and_no_answer(front, page, text, told):
    """The page greys what it would replace."""
    if text is None:
        part(page, "sentence").evaluate(HALF)
    else:
        enter(page, "sentence", text)
    alert = page.locator(".mt-alert[role=alert]:visible")
    expect(alert).to_contain_text(told)
    expect(page.locator(".mt-words button:enabled")).to_have_count(0)
    page.locator(":is(.mt-model, #model)").get_by_text("without dropout").click()
    page.wait_for_timeout(200)
    stale, replaced = page.locator(".mt-stale"), page.locator(".mt-replaced")
    assert stale.count() == replaced.count() == (4 if front.name == "page" else 0)
    if front.name != "page":
        assert page.locator(".mt-box :is(.mt-card, .mt-knock, .mt-scale)").count() == 0
    retype(page, LONG)
    expect(alert).to_have_count(0)
    assert labels(page) == LONG.split() and stale.count() == 0


def test_layer_head_and_paint_change_the_blue_and_its_scale(page):
    seen = []
    for row, label in (
        *(("layer", "1"), ("head", "5"), ("layer", "all"), ("layer", "rollout")),
        *(("head", "2"), ("paint", "what it needed")),
    ):
        choose(page, row, label)
        seen.append((*gestures.blues(page), page.locator(".mt-scale").inner_text()))
        if label == "rollout":  # which goes through all heads
            assert pressed(page, "head") == [0]
    assert pressed(page, "layer") == [0] and "needed it" in seen[-1][-1]
    assert "Even attention would be" in seen[0][-1]
    assert len({look[:-1] for look in seen}) == len({look[-1] for look in seen}) == 6


def test_the_models_change_places(page):
    other = page.locator(".mt-other")
    expect(other).to_contain_text("without dropout says")
    word = other.locator("b").inner_text()
    with answered(page):
        choose(page, "model", "without dropout")
    assert f"The model says {word}, " in card(page)
    expect(other).to_contain_text("with dropout says")


# What is done, by mouse and keyboard, quickly and again.


def test_the_keyboard_alone_is_enough(front, page):
    for key in ("Enter", "Tab")[: 1 if front.name == "page" else 2]:
        retype(page, f"{TEXT} {key}", key)
        assert labels(page)[-1] == key and pressed(page) == [0]
    part(page, "sentence").focus()
    for _ in range(6):  # past the examples, to the first word
        page.keyboard.press("Tab")
        if gestures.focused(page) == 0:
            break
    for keys, position in (
        ("ArrowRight ArrowRight ArrowLeft Tab Space", 2),
        ("Tab Tab Enter", 4),
    ):
        with answered(page):
            for key in keys.split():
                page.keyboard.press(key)
        assert pressed(page) == [position] and gestures.focused(page) == position
        outline = "() => getComputedStyle(document.activeElement).outline"
        assert re.search(r" solid .*\b[2-9]px", page.evaluate(outline))


# The positions of cards, or the views of scales, in the order in which they came.
CAME = """selector => {
  window.came = [];
  window.watch?.disconnect();
  const note = ({dataset}) => came.push(dataset.position ?? dataset.view);
  window.watch = new MutationObserver(records => {
    for (const {addedNodes} of records) for (const node of addedNodes)
      if (node.matches?.(selector)) note(node);
      else node.querySelectorAll?.(selector).forEach(note);
  });
  watch.observe(document.body, {childList: true, subtree: true});
}"""


def quickly(page, row: str, order: list[int], pause: int, seen: str) -> list[str]:
    """Clicks buttons of a row by mouse, a pause after each; what a notebook added."""
    page.evaluate(CAME, seen)
    buttons = page.locator(f":is(.mt-{row}, #{row}) button")
    boxes = [buttons.nth(i).bounding_box() for i in order]
    for box in boxes:
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(pause)
    enough = "n => window.came.length >= n || !document.querySelector('.mt-widget')"
    page.wait_for_function(enough, arg=len(order))
    return page.evaluate("() => window.came")


def test_of_quick_clicks_the_last_one_wins(front, page):
    """On the first sentence, and on a new one, whose events take another way."""
    live = front.name == "page"
    for text, pause in itertools.product((TEXT, LONG), (0, 40, 150)):
        if labels(page) != split_words(text):
            retype(page, text)
        if pressed(page) != [0]:
            mask(page, 0)
        page.evaluate("() => { if (typeof known !== 'undefined') known.clear(); }")
        cards = quickly(page, "words", [5, 2, 5], pause, ".mt-card")
        assert cards == ([] if live else ["5", "2", "5"])
        page.wait_for_selector('.mt-card[data-position="5"]')
        page.wait_for_selector(gestures.NEEDS, state="attached")
        page.wait_for_timeout(100)
        assert page.locator('.mt-card[data-position="5"]').count() == 1
        assert pressed(page) == [5] and gestures.focused(page) == 5
        choose(page, "layer", "rollout")
        scales = quickly(page, "layer", [1, 2, 1], pause, ".mt-scale")
        told = [] if live else ["layer 1", "layer 2", "layer 1"]
        assert [scale[:7] for scale in scales] == told
        assert pressed(page, "layer") == [1]


def test_nothing_of_a_former_sentence_is_left(page):
    label, text, position = EXAMPLE
    retype(page, LONG)
    for _ in range(2):  # the same example twice
        with answered(page):
            part(page, "examples").select_option(label)
        assert labels(page) == split_words(text) and pressed(page) == [position]
        mask(page, 1)
    for typed in ("The old dog .", "A cat ran .", "He was born .", LONG):  # at once
        enter(page, "sentence", typed)
    expect(words(page)).to_have_count(len(LONG.split()))
    page.wait_for_timeout(300)
    assert labels(page) == LONG.split() and pressed(page) == [0]
    assert "stood there: The" in card(page)


def test_a_cell_of_the_table_of_heads_chooses_that_head(page):
    cell = page.locator('.mt-heads [data-layer="4"][data-head="5"] button')
    for key in (None, "Enter"):
        choose(page, "layer", "rollout")
        cell.press(key) if key else cell.click()
        expect(cell).to_have_attribute("aria-pressed", "true")
        expect(cell).to_be_focused()
        assert (pressed(page, "layer"), pressed(page, "head")) == ([4], [5])


def test_a_reader_guesses_against_the_model(page):
    """Right three times by Enter, and wrong twice by the button."""
    gestures.unfold(page)
    missing = {}
    for sentence in json.loads(page_source("sentences.json"))["game"]:
        asked, place = split_words(sentence["text"]), sentence["position"]
        missing["".join([*asked[:place], "?", *asked[place + 1 :]])] = asked[place]
    game, told = page.locator(".mt-game"), part(page, "game told")
    field = part(page, "game guess")
    for number in range(1, 6):
        press(page, "Begin" if number == 1 else "Next sentence")
        expect(told).to_contain_text(f"Sentence {number} of 5")
        expect(field).to_be_focused()
        word = missing["".join(game.inner_text().split())]
        field.fill(word if number % 2 else "zyzzyva")
        field.press("Enter") if number % 2 else press(page, "Show the word")
        scored = f"After {number} of 5: you {(number + 1) // 2}, the model"
        expect(told).to_contain_text(scored)
        assert f"It was {word}." in told.inner_text() and "?" not in game.inner_text()
    assert page.get_by_role("button", name="Play again").is_visible()


def test_a_changed_word_is_compared_and_kept(page):
    gestures.unfold(page)
    compared = part(page, "compared")
    part(page, "replace").select_option(label="began")
    for by, told in (("two words", "Type one word"), ("battle", "goes from")):
        enter(page, "by", by)
        expect(compared).to_contain_text(told)
    assert compared.locator("table").count() == 2
    with answered(page):
        press(page, "Go on with this sentence")
    assert labels(page) == [*SENTENCE[:2], "battle", *SENTENCE[3:]]
    assert pressed(page) == [fronts.START]
