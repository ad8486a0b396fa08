"""The explorer in a real browser: what is read, reached and waited for."""

import pytest

from explorer.page.__main__ import main as write_page
from helpers import ROOT
from tests import fronts
from tests.browser import clicks, spread, stopwatch
from tests.fronts import STACKS
from tests.gestures import choose, enter, part, press, retype, unfold

if reason := fronts.missing():
    pytest.skip(f"No browser is driven: {reason}.", allow_module_level=True)

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
page_only = pytest.mark.parametrize("front", ["page"], indirect=True)


def everything(page) -> None:
    """Opens all that can be opened, and fills all that can be filled."""
    unfold(page)
    enter(page, "guess", "king")
    press(page, "Begin")
    enter(page, "by", "battle")
    part(page, "compared").locator("table").first.wait_for()


# axe does not measure text on a gradient; here words get the colour it amounts to.
FLAT = """.mt-words :is(button, .mt-special) { background: color-mix(in srgb,
  rgb(var(--blue)) calc(var(--a, 0) * 100%), var(--paper)) !important; }"""


def faults(page) -> list[str]:
    """What axe finds, and grounds on which it could not measure a contrast."""
    from axe_playwright_python.sync_playwright import Axe  # which imports Playwright

    live = page.locator(".mt-page").count()  # of a notebook only the explorer is ours
    style = page.add_style_tag(content=FLAT)
    found = Axe().run(page, None if live else ".mt-box")
    style.evaluate("style => style.remove()")
    unsure = [r for r in found.response["incomplete"] if r["id"] == "color-contrast"]
    nodes = [node for rule in unsure for node in rule["nodes"]]
    whys = [node["any"][0]["data"]["messageKey"] for node in nodes]
    gradients = [why for why in whys if why in ("bgGradient", "bgImage")]
    return [found.generate_report()] * (found.violations_count > 0) + gradients


def test_axe_finds_no_violation_in_any_theme(front, page):
    everything(page)
    for label in ("what it needed", "where it looked"):
        choose(page, "paint", label)
        for theme in ("dark", "light"):
            front.paint(theme)
            assert faults(page) == [], theme
    if front.name == "page":
        page.set_viewport_size(PHONE)
        assert faults(page) == []


def test_what_is_pressed_is_kept_in_forced_colours_and_in_print(page):
    page.emulate_media(forced_colors="active")
    layer = ":is(.mt-layer, #layer)"
    ring, chosen, bar = page.evaluate(
        """parts => parts.map(s => getComputedStyle(document.querySelector(s)))
        .map(s => [s.outlineStyle + s.outlineWidth, s.borderWidth, s.backgroundColor])
        """,
        [f"{row} [aria-pressed=true]" for row in (".mt-words", layer)] + [".mt-bar"],
    )
    assert ring[0] == "solid3px" and chosen[1] == "3px" and bar[2] == "rgb(0, 0, 0)"
    page.emulate_media(forced_colors="none", media="print")
    kept = "() => getComputedStyle(document.querySelector('.mt-bar')).printColorAdjust"
    assert page.evaluate(kept) == "exact"


OUT_OF_REACH = """() => {
  const box = document.querySelector(".mt-box");
  const seen = [...box.querySelectorAll("*")].filter(e => e.checkVisibility());
  const told = e => e.className + " " + e.textContent.slice(0, 20);
  const size = e => e.getBoundingClientRect();
  const targets = seen.filter(e => e.matches("button, input, select, summary"));
  return [
    seen.filter(e => !e.closest(".mt-scroller *, select *")
      && size(e).right > size(box).right + 1),
    targets.filter(e => size(e).width < 24 || size(e).height < 24),
    targets.filter(e => e.matches("button:not([type])")),
  ].map(found => found.map(told)); }"""


def test_it_flows_and_all_targets_are_large_enough(front, page):
    """A narrow window leaves a widget 300 pixels; 640 are half of 1280, as at 200 %."""
    retype(page, "Donaudampfschifffahrtsgesellschaftskapitänsmütze saw the city .")
    everything(page)
    for width in (300, 390, 640, 960, 1280):
        if front.name == "page":
            page.set_viewport_size({"width": max(320, width), "height": 700})
        else:
            resize = "(box, width) => box.style.width = `${width}px`"
            page.locator(".mt-box").evaluate(resize, width)
        assert page.evaluate(OUT_OF_REACH) == [[], [], []], width
        assert page.locator(".mt-knock").bounding_box()["width"] <= max(320, width)


def test_an_answer_is_seen_without_scrolling(front, page):
    for size in (DESKTOP, PHONE)[: 2 if front.name == "page" else 1]:
        page.set_viewport_size(size)
        page.wait_for_timeout(500)  # until a notebook knows its new size
        page.evaluate("() => document.querySelector('.mt-box').scrollIntoView()")
        parts = ".mt-words", ":is(.mt-verdict, #verdict)", ".mt-top", ".mt-scale"
        boxes = [page.locator(part).first.bounding_box() for part in parts]
        for box in boxes[:3]:
            assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"]
        assert [box["y"] for box in boxes] == sorted(box["y"] for box in boxes)


@pytest.mark.parametrize("front", STACKS, indirect=True)
def test_clicks_are_answered_at_once(page):
    times = stopwatch(page, clicks(24, 24))
    assert spread([time["answer"] for time in times])["p95"] <= 150
    assert spread([time["needed"] - time["answer"] for time in times])["p95"] <= 1_000


# Of the page alone, and of the guard.


@page_only
def test_without_scripts_a_sentence_says_so(front):
    context = front.browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(front.address)
    assert "switched off in this browser" in still.locator("noscript p").inner_text()
    context.close()


def test_the_file_is_small_and_may_hold_one_model(tmp_path):
    small = {"both": [], "one": ["--models", str(ROOT / "weights/dropout.safetensors")]}
    for (name, options), size in zip(small.items(), (7e6, 4e6), strict=True):
        path = write_page([*options, "--out", str(tmp_path / f"{name}.html")])
        assert path.stat().st_size <= size


@page_only
def test_the_guard_notices_what_a_page_wants(front):
    with fronts.guarded(front.browser) as (context, trouble):
        bad = context.new_page()
        bad.evaluate("() => fetch('https://example.invalid/x').catch(() => 0)")
        bad.evaluate("() => { new WebSocket('wss://example.invalid/y'); }")
        bad.evaluate("() => { setTimeout(() => alert('hi')); }")
        bad.evaluate("() => { setTimeout(() => { throw Error('oh') }); }")
        bad.wait_for_timeout(300)
    assert trouble.wanted == ["https://example.invalid/x", "wss://example.invalid/y"]
    assert trouble.dialogs == ["hi"]
    assert any("oh" in error for error in trouble.errors)
