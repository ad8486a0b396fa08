"""The explorer in a real browser, in JupyterLab and in the classic notebook."""

import itertools
import re

import browser
import pytest
from browser import (
    TEXT,
    choose,
    enter,
    expect,
    mask,
    numbers,
    redrawn,
    retype,
    settle,
    words,
)
from PIL import Image

from explorer.knockout import without_heads, without_words
from explorer.predict import fill_mask
from helpers import ROOT
from helpers.checkpoint import load_model
from helpers.text import split_words

if reason := browser.missing():
    pytest.skip(f"No browser is driven: {reason}.", allow_module_level=True)
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

SENTENCE = split_words(TEXT)
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module", params=browser.STACKS)
def notebook(request, tmp_path_factory):
    """A stack, from its server to an open page; one for all tests."""
    if reason := browser.missing(request.param):
        pytest.skip(f"{request.param} is not driven: {reason}.")
    with browser.drive(request.param, tmp_path_factory.mktemp("stack")) as driven:
        yield driven


@pytest.fixture
def page(notebook):
    """The page with a fresh explorer."""
    return notebook.run()


@pytest.fixture(scope="module")
def trained():
    """The model that the explorer shows first, and its tokenizer."""
    model, tokenizer, _ = load_model(ROOT / "weights/dropout.safetensors")
    return model, tokenizer


def labels(page) -> list[str]:
    return [label.replace("\u200b", "") for label in words(page).all_inner_texts()]


def active(page) -> list[int]:
    """The positions of the words that are pressed; no other ones have a ring."""
    pressed, ringed = (
        page.evaluate(f"""() => [...document.querySelectorAll(".mt-words button")]
            .flatMap((word, i) => {test} ? [i] : [])""")
        for test in (
            "word.matches('.mod-active')",
            "/(^|\\D)0px 0px 0px [2-9]/.test(getComputedStyle(word).boxShadow)",
        )
    )
    assert pressed == ringed
    return pressed


def blues(page) -> list[str]:
    return page.evaluate("""() => [...document.querySelectorAll(".mt-words button")]
        .map(word => getComputedStyle(word))
        .map(style => style.backgroundColor + style.backgroundImage)""")


def focused(page) -> int:
    """The position of the word that has the keyboard's focus; -1 if none has."""
    return page.evaluate("""() => [...document.querySelectorAll(".mt-words button")]
        .indexOf(document.activeElement)""")


def test_a_click_masks_that_word(page):
    """Of equal words the clicked one."""
    assert labels(page) == SENTENCE and SENTENCE[4] == SENTENCE[12] == "the"
    for position in (4, 12, 0, 23):
        mask(page, position)
        assert active(page) == [position]
        assert numbers(page)["card"] == [{"position": str(position)}]
        assert numbers(page)["true"][0]["word"] == SENTENCE[position]


def test_the_keyboard_alone_masks_a_word(page):
    page.locator(".mt-sentence input").focus()
    for _ in range(6):  # past the examples, to the first word
        page.keyboard.press("Tab")
        if focused(page) == 0:
            break
    for steps, key, position in ((3, "Space", 3), (2, "Enter", 5)):
        for _ in range(steps):
            page.keyboard.press("Tab")
        assert focused(page) == position
        page.keyboard.press(key)
        settle(page, position)
        assert active(page) == [position]
        assert focused(page) == position, "the focus is lost"
        outline = page.evaluate(
            "() => getComputedStyle(document.activeElement).outline"
        )
        assert " solid " in outline
        assert float(re.search(r"([\d.]+)px", outline)[1]) >= 2


@pytest.mark.parametrize("key", ["Enter", "Tab"])
def test_a_reader_types_a_sentence(page, key):
    retype(page, "The king took the city .", key)
    assert labels(page) == "The king took the city .".split()
    assert active(page) == [0]
    mask(page, 4)
    assert numbers(page)["true"][0]["word"] == "city"


@pytest.mark.parametrize("text", [MARKUP, "東京", "$5", "a $x$ <b> & ' \" `"])
def test_odd_text_is_shown_as_it_is(notebook, page, text):
    retype(page, text)
    assert "".join(labels(page)) == text.replace(" ", "")
    for position in range(len(split_words(text))):
        mask(page, position)
    inside = ".mt-box :is(img, script, b[onclick], .MathJax, mjx-container)"
    assert page.locator(inside).count() == 0
    assert notebook.trouble.dialogs == []


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "no word"), (" ", "no word"), ("the " * 65, "65 words; the model takes")],
)
def test_what_is_refused_gets_a_sentence_and_no_card(page, text, told):
    enter(page, "sentence", text)
    assert told in page.locator(".mt-alert[role=alert]").inner_text()
    assert page.locator(".mt-card").count() == 0
    retype(page, "The king took the city .")
    assert page.locator(".mt-alert").count() == 0


def test_layer_and_head_change_the_blue_and_its_scale(page):
    seen = []
    for control, label in (("layer", "1"), ("head", "3"), ("layer", "all")):
        choose(page, control, label)
        scale = page.locator(".mt-scale").first
        assert "Even attention would be" in scale.inner_text()
        seen.append((blues(page), scale.get_attribute("data-vmax")))
    for control, label in (("layer", "rollout"), ("paint", "what it needed")):
        choose(page, control, label)
        seen.append((blues(page), page.locator(".mt-scale").get_attribute("data-vmax")))
    assert "The answer needed it" in page.locator(".mt-scale").inner_text()
    for one, other in itertools.combinations(seen, 2):
        assert one[0] != other[0] and one[1] != other[1]


@pytest.mark.parametrize("position", [8, 19])
def test_every_number_is_that_of_a_fresh_forward_pass(page, trained, position):
    fresh = fill_mask(*trained, TEXT, position)
    mask(page, position)
    shown = numbers(page)

    def check(name: str, expected, key="p"):
        assert [float(x[key]) for x in shown[name]] == pytest.approx(expected, abs=1e-5)

    assert [row["word"] for row in shown["top"]] == [word for word, _ in fresh.top]
    check("top", [p for _, p in fresh.top])
    check("pred", [fresh.p_pred])
    check("true", [fresh.p_true])
    check("true", [fresh.rank_true], "rank")
    others = [i for i in range(24) if i != position]
    check("knock", others, "position")
    check("knock", without_words(*trained, fresh)[others].tolist())
    check("knock", fresh.attention(None)[1:-1][others].tolist(), "attention")
    cells = [(int(cell["layer"]), int(cell["head"])) for cell in shown["heads"]]
    assert cells == [*itertools.product(range(1, 5), range(1, 9))]
    check("heads", without_heads(*trained, fresh).flatten().tolist())
    enter(page, "guess", fresh.top[2][0])
    own = page.locator(f'.mt-own[data-word="{fresh.top[2][0]}"][data-rank="3"]')
    p = float(own.get_attribute("data-p"))
    assert p == pytest.approx(fresh.top[2][1], abs=1e-5)


def save(page, what: str):
    """Presses a button and returns the path of the file that it saved."""
    saved = page.locator(".mt-saved[data-path], .mt-saved [data-path]")
    with redrawn(page, "[data-path]"):
        button = f".mt-save-{what}"
        page.locator(f"button{button}, {button} button").click()
    path = ROOT / saved.first.get_attribute("data-path")
    assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name) and path.parent.name == "saved"
    return path


@pytest.mark.parametrize("text", [TEXT, MARKUP, "../東京"])
def test_a_picture_can_be_kept(page, text):
    if text != TEXT:
        retype(page, text)
    path = save(page, "picture")
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG" and min(image.size) > 100
    path.unlink()


def test_a_saved_page_says_what_the_explorer_said(notebook, page):
    """Its weights are rounded, so its numbers are those but for a point or two."""
    mask(page, 8)
    live = numbers(page)
    path = save(page, "page")
    with browser.guarded(notebook.browser) as (context, trouble):
        kept = context.new_page()
        kept.goto(path.as_uri())
        kept.wait_for_selector("#head-table [data-p]", state="attached")
        assert labels(kept) == SENTENCE
        shown = numbers(kept)
        assert shown["top"][0]["word"] == live["top"][0]["word"]
        for name in ("top", "knock", "heads"):
            here, there = ([float(x["p"]) for x in n[name]] for n in (shown, live))
            assert here == pytest.approx(there, abs=0.03)
    assert trouble == browser.Trouble()
    path.unlink()


LONG = "The king took the city in the winter and the army left the town by the river ."
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
    """Clicks buttons of a row by mouse, a pause after each; all that was seen then."""
    page.evaluate(CAME, seen)
    boxes = [page.locator(f"{row} button").nth(i).bounding_box() for i in order]
    for box in boxes:
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(pause)
    page.wait_for_function("n => window.came.length >= n", arg=len(order))
    return page.evaluate("() => window.came")


def test_of_clicks_to_and_fro_the_last_one_wins(page):
    """On the first sentence, and on a new one, whose events take another way."""
    for text in (TEXT, LONG):
        if text != TEXT:
            retype(page, text)
        for pause in (0, 40, 150):
            mask(page, 0)
            cards = quickly(page, ".mt-words", [5, 2, 5], pause, ".mt-card")
            assert cards == ["5", "2", "5"]
            settle(page, 5)
            assert active(page) == [5] and focused(page) == 5
            choose(page, "layer", "rollout")
            scales = quickly(page, ".mt-layer", [1, 2, 1], pause, ".mt-scale")
            assert [told[:7] for told in scales] == ["layer 1", "layer 2", "layer 1"]
            pressed = page.locator(".mt-layer button.mod-active")
            assert pressed.all_inner_texts() == ["1"]
            assert pressed.get_attribute("title") == "Layer 1, chosen"


COMMS = {
    "lab": "jupyterapp.shell.currentWidget.sessionContext.session.kernel._comms.size",
    "classic": "Object.keys(IPython.notebook.kernel.comm_manager.comms).length",
}
HALF = """box => {
  box.value = "the \\ud83d cat";
  for (const kind of ["input", "change"])
    box.dispatchEvent(new Event(kind, {bubbles: true}));
}"""


def test_nothing_of_a_former_sentence_is_left(notebook, page):
    retype(page, LONG)
    before = page.evaluate(COMMS[notebook.stack])
    enter(page, "sentence", "the " * 63)
    page.wait_for_selector(".mt-alert")
    expect(words(page)).to_have_count(0)
    assert page.locator(".mt-box :is(.mt-knock, .mt-scale)").count() == 0
    text, position = browser.EXAMPLE
    for _ in range(2):  # the same example twice
        page.locator(".mt-examples select").select_option("a church")
        settle(page, position)
        assert labels(page) == split_words(text) and active(page) == [position]
        mask(page, 1)
    retype(page, LONG)
    page.wait_for_function(f"before => {COMMS[notebook.stack]} === before", arg=before)


def test_a_blank_and_half_a_character_are_told_in_a_sentence(page):
    enter(page, "sentence", "The king [MASK] the 👩🏽‍🚀 .")
    settle(page, 2)
    assert labels(page) == ["The", "king", "___", "the", "👩🏽‍🚀", "."]
    assert active(page) == [2]
    assert "You left a blank" in page.locator(".mt-card").inner_text()
    page.locator(".mt-sentence input").evaluate(HALF)
    page.wait_for_selector(".mt-alert")
    assert "half a character" in page.locator(".mt-alert").inner_text()
    retype(page, LONG)


# Each piece of text with its colour and all that is painted below it, nearest first.
PAINTED = """() => [...document.querySelectorAll(".mt-box")].flatMap(box => {
  const found = [];
  const note = (element, text, pseudo) => {
    if (!text.trim() || !element.checkVisibility()) return;
    const grounds = [], own = getComputedStyle(element, pseudo);
    const add = style => grounds.push([style.backgroundColor, style.backgroundImage]);
    let opacity = Number(own.opacity);
    if (pseudo) add(own);
    for (let e = element; e; e = e.parentElement) {
      add(getComputedStyle(e));
      if (pseudo || e !== element) opacity *= Number(getComputedStyle(e).opacity);
    }
    found.push({text, color: own.color, opacity, grounds});
  };
  const texts = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  while (texts.nextNode())
    note(texts.currentNode.parentElement, texts.currentNode.data);
  for (const element of box.querySelectorAll("*")) {
    if (element.matches("input, select")) note(element, element.value);
    if (element.placeholder) note(element, element.placeholder, "::placeholder");
    for (const pseudo of ["::before", "::after"]) {
      const {content} = getComputedStyle(element, pseudo);
      if (content.startsWith('"')) note(element, content.slice(1, -1), pseudo);
    }
  }
  return found;
})"""
COLOUR = re.compile(r"(rgba?|color)\((?:srgb )?([^()]*)\)")


def colours(css: str) -> list[tuple]:
    """The colours in a computed style: red, green, blue and alpha, each 0 to 1."""
    found = []
    for kind, inside in COLOUR.findall(css):
        numbers = [float(n) for n in re.findall(r"[\d.]+", inside)]
        scale = 1 if kind == "color" else 255
        found.append((*(n / scale for n in numbers[:3]), *(numbers[3:] or [1.0])))
    return found


def over(above: tuple, below: tuple) -> tuple:
    """A colour laid over another, opaque one."""
    pairs = zip(above[:3], below[:3], strict=True)
    return (*(above[3] * a + (1 - above[3]) * b for a, b in pairs), 1)


def luminance(colour: tuple) -> float:
    """Relative luminance, WCAG 2.1."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(piece: dict) -> float:
    """The lowest contrast of a text with its ground, over all colours of a gradient."""
    grounds = [(1, 1, 1, 1)]
    for color, image in reversed(piece["grounds"]):
        grounds = [over(c, below) for c in colours(color) for below in grounds]
        if stops := {*colours(image)}:
            grounds = [over(stop, below) for stop in stops for below in grounds]
    (ink,) = colours(piece["color"])
    ink = (*ink[:3], ink[3] * piece["opacity"])
    pairs = [(luminance(over(ink, g)), luminance(g)) for g in grounds]
    return min((max(pair) + 0.05) / (min(pair) + 0.05) for pair in pairs)


def faint(page) -> list[tuple[str, float]]:
    """Texts in the explorer that are hard to read; fails if there is no text."""
    pieces = page.evaluate(PAINTED)
    assert len(pieces) > 100
    found = [(piece["text"], round(contrast(piece), 2)) for piece in pieces]
    return sorted({pair for pair in found if pair[1] < 4.5})


def test_contrast_is_measured_as_defined():
    def piece(color, *grounds, opacity=1):
        return dict(color=color, opacity=opacity, grounds=[[*g] for g in grounds])

    white, black = ("rgb(255, 255, 255)", "none"), "rgb(0, 0, 0)"
    assert contrast(piece(black, white)) == pytest.approx(21)
    assert contrast(piece("rgb(119, 119, 119)", white)) == pytest.approx(4.48, abs=5e-3)
    veil = "linear-gradient(rgba(0, 0, 0, 0.5), rgba(0, 0, 0, 0.5))"
    grey = 1.05 / (luminance((0.5,) * 3) + 0.05)
    veiled = piece("color(srgb 1 1 1)", ("rgba(0, 0, 0, 0)", veil), white)
    assert contrast(veiled) == pytest.approx(grey)
    assert contrast(piece(black, white, opacity=0.5)) == pytest.approx(grey)


def test_all_text_can_be_read_in_every_theme(notebook, page):
    everything(page)
    assert faint(page) == []
    retype(page, "The zyzzyva was built .")
    mask(page, 1)
    assert faint(page) == []
    if notebook.stack == "lab":
        with notebook.dark():
            assert faint(page) == []
            mask(page, 2)
            assert faint(page) == []


def press(page, part: str) -> None:
    """Presses the button of a part of the game or of the comparison."""
    page.locator(f"button.mt-{part}").click()


def everything(page) -> None:
    """Opens all that can be opened, and fills all that can be filled."""
    enter(page, "guess", "king")
    page.locator(".mt-own").wait_for()
    page.locator(".mt-box summary").click()
    press(page, "go")
    enter(page, "change-by", "battle")
    page.locator(".mt-change-told table").first.wait_for()


def test_an_answer_is_seen_without_scrolling(page):
    size = page.viewport_size
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_timeout(500)  # until the notebook knows its new size
    page.evaluate("() => document.querySelector('.mt-box').scrollIntoView()")
    mask(page, 4)
    parts = [".mt-words", ".mt-verdict", ".mt-top", ".mt-scale"]
    boxes = [page.locator(part).first.bounding_box() for part in parts]
    for box in boxes[:3]:
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800
    assert [box["y"] for box in boxes] == sorted(box["y"] for box in boxes)
    page.set_viewport_size(size)


def test_a_cell_of_the_table_of_heads_chooses_that_head(page):
    cell = page.locator('.mt-heads [data-layer="4"][data-head="5"] button')
    for key in (None, "Enter"):
        choose(page, "layer", "rollout")
        with redrawn(page, ".mt-scale"):
            page.keyboard.press(key) if cell.focus() or key else cell.click()
        view = '.mt-scale[data-view="layer 4, head 5"]'
        page.wait_for_selector(view)
        assert cell.get_attribute("aria-pressed") == "true"
        assert cell.evaluate("cell => cell === document.activeElement")


def test_a_reader_guesses_against_the_model(page):
    for number in range(1, 6):
        press(page, "go")
        told = page.locator(".mt-game-told")
        expect(told).to_contain_text(
            f"Sentence {number} of 5", timeout=browser.PATIENCE
        )
        assert "?" in page.locator(".mt-game").inner_text().split()
        field = page.locator(".mt-game-guess input")
        expect(field).to_be_focused()  # the button that had the focus is gone
        field.fill("zyzzyva")
        if number % 2:
            page.keyboard.press("Enter")
        else:
            press(page, "reveal")
        scored = f"After {number} of 5: you 0, the model"
        expect(told).to_contain_text(scored, timeout=browser.PATIENCE)
        assert "?" not in page.locator(".mt-game").inner_text().split()
    assert page.locator("button.mt-go").inner_text() == "Play again"


def test_a_changed_word_is_compared_and_kept(page):
    page.locator(".mt-change-word select").select_option("war")
    enter(page, "change-by", "battle")
    told = page.locator(".mt-change-told")
    expect(told).to_contain_text("That word is hidden", timeout=browser.PATIENCE)
    page.locator(".mt-change-word select").select_option("began")
    press(page, "compare")
    expect(told).to_contain_text("goes from", timeout=browser.PATIENCE)
    assert told.locator("table").count() == 2
    with redrawn(page, ".mt-card"):
        press(page, "keep")
    settle(page, browser.START)
    assert labels(page) == [*SENTENCE[:2], "battle", *SENTENCE[3:]]


@pytest.mark.parametrize("width", [300, 640, 960])
def test_it_flows_and_all_targets_are_large_enough(page, width):
    """A narrow window leaves 300 pixels; 640 are half of 1280, as at 200 %."""
    retype(page, "Donaudampfschifffahrtsgesellschaftskapitänsmütze saw the city .")
    everything(page)
    page.locator(".mt-box").evaluate("(box, w) => box.style.width = `${w}px`", width)
    too_wide, small, typed = page.evaluate("""() => {
      const box = document.querySelector(".mt-box");
      const seen = [...box.querySelectorAll("*")].filter(e => e.checkVisibility());
      const told = e => e.className + " " + e.textContent.slice(0, 20);
      const size = e => e.getBoundingClientRect();
      const targets = seen.filter(e => e.matches("button, input, select, summary"));
      return [
        seen.filter(e => !e.closest(".mt-scroller *, select *")
          && size(e).right > size(box).right + 1),
        targets.filter(e => size(e).width < 24 || size(e).height < 24),
        targets.filter(e => e.matches("button:not([type=button])")),
      ].map(found => found.map(told)); }""")
    assert too_wide == small == typed == []
    (row,) = page.locator(".mt-knock").all()
    assert row.bounding_box()["width"] <= width


def test_axe_finds_no_violation(notebook, page):
    everything(page)
    for label in ("what it needed", "where it looked"):
        choose(page, "paint", label)
        found = axe.Axe().run(page, ".mt-box")
        assert found.violations_count == 0, found.generate_report()
    if notebook.stack == "lab":
        with notebook.dark():
            found = axe.Axe().run(page, ".mt-box")
            assert found.violations_count == 0, found.generate_report()


def test_what_is_pressed_is_told_and_kept_in_forced_colours_and_in_print(page):
    pressed = page.locator(".mt-box [aria-pressed=true]")
    rows = ["where it looked", "all", "all", "with dropout"]
    assert pressed.all_inner_texts() == ["war", *rows]
    page.emulate_media(forced_colors="active")
    ring, chosen, bar = page.evaluate("""() =>
      [".mt-words .mod-active", ".mt-layer .mod-active", ".mt-bar"]
      .map(s => getComputedStyle(document.querySelector(s)))
      .map(s => [s.outlineStyle + s.outlineWidth, s.borderWidth, s.backgroundColor])""")
    assert ring[0] == "solid3px" and chosen[1] == "3px" and bar[2] == "rgb(0, 0, 0)"
    page.emulate_media(forced_colors="none", media="print")
    kept = "() => getComputedStyle(document.querySelector('.mt-bar')).printColorAdjust"
    assert page.evaluate(kept) == "exact"
    page.emulate_media(media="screen")


def test_fifty_clicks_are_answered_at_once(page):
    settle(page, browser.START)
    times = browser.stopwatch(page, browser.clicks(24))
    assert browser.spread([time["card"] for time in times])["p95"] <= 150
    assert browser.spread([time["knocked"] for time in times])["p95"] <= 1_000


def test_the_guard_notices_what_a_page_wants(notebook):
    with browser.guarded(notebook.browser) as (context, trouble):
        bad = context.new_page()
        bad.evaluate("() => fetch('https://example.invalid/x').catch(() => 0)")
        bad.evaluate("() => { new WebSocket('wss://example.invalid/y'); }")
        bad.evaluate("() => { setTimeout(() => alert('hi')); }")
        bad.evaluate("() => { setTimeout(() => { throw Error('oh') }); }")
        bad.wait_for_timeout(300)
    assert trouble.wanted == ["https://example.invalid/x", "wss://example.invalid/y"]
    assert trouble.dialogs == ["hi"]
    assert any("oh" in error for error in trouble.errors)


def test_nothing_went_wrong_unseen(notebook):
    """The last test of a stack: of all that was done before."""
    assert notebook.trouble.wanted == []
    assert notebook.trouble.dialogs == []
    assert {*notebook.trouble.errors} <= {*notebook.known}
