"""The live page in Chromium: from a file, without a network, large and small."""

import browser
import pytest
from browser import expect
from page_record import NAMES

from explorer.page.__main__ import main
from explorer.predict import fill_mask
from helpers import ROOT
from helpers.checkpoint import load_model

if reason := browser.missing():
    pytest.skip(f"No browser is driven: {reason}.", allow_module_level=True)

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SENTENCE = "The king took the city in the winter ."
# Every text that the page has shown in place of the answer, in order.
WATCH = """() => {
  window.verdicts = [];
  const verdict = document.getElementById("verdict");
  const note = () => window.verdicts.push(verdict.textContent);
  new MutationObserver(note).observe(verdict, {childList: true, subtree: true});
}"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of both shipped models."""
    return main(["--out", str(tmp_path_factory.mktemp("page") / "page.html")])


@pytest.fixture(scope="module")
def chromium():
    with browser.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=browser.BROWSER, args=browser.FLAGS
        )
        yield launched
        launched.close()


@pytest.fixture
def page(chromium, path):
    """The page, complete; at the end nothing has gone wrong unseen."""
    with browser.guarded(chromium) as (context, trouble):
        opened = context.new_page()
        opened.set_viewport_size(DESKTOP)
        opened.goto(path.as_uri())
        complete(opened)
        yield opened
        assert trouble == browser.Trouble()


def complete(page) -> None:
    """Waits until the answer and its knock-outs are there."""
    page.wait_for_function(
        "() => shown.answer?.chance_W && !byId('needs').matches('.mt-waiting')"
    )


def hide(page, position: int) -> None:
    """Presses a word and waits for all that follows."""
    page.locator("#words button").nth(position).click()
    page.wait_for_function("i => shown.position === i && shown.answer", arg=position)
    complete(page)


def type_sentence(page, text: str) -> None:
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def read(page, text: str) -> None:
    """Types a sentence and waits for its answer."""
    type_sentence(page, text)
    complete(page)


def unfold(page) -> None:
    """Opens all that is folded away."""
    page.evaluate(
        "() => document.querySelectorAll('details').forEach(e => { e.open = true; })"
    )


def verdict(page) -> str:
    return page.locator("#verdict").inner_text()


def pressed(page) -> list[int]:
    """The words that are pressed, to the eye and in the markup alike."""
    seen, told = (
        page.evaluate(
            "s => [...document.querySelectorAll('#words button')]"
            ".flatMap((word, i) => word.matches(s) ? [i] : [])",
            selector,
        )
        for selector in (".mt-ring", "[aria-pressed=true]")
    )
    assert seen == told
    return seen


def test_the_file_is_small(path, tmp_path):
    assert path.stat().st_size <= 7e6
    one = main(
        ["--models", str(ROOT / "weights/dropout.safetensors"), "--word", "2"]
        + ["--sentence", SENTENCE, "--out", str(tmp_path / "one.html")]
    )
    assert one.stat().st_size <= 4e6


def test_a_click_hides_a_word_and_says_in_words_what_the_model_says(page):
    model, tokenizer, _ = load_model(ROOT / "weights/dropout.safetensors")
    read(page, SENTENCE)
    for position in (4, 0, 3, 8):
        hide(page, position)
        assert pressed(page) == [position]
        exact = fill_mask(model, tokenizer, SENTENCE, position)
        assert page.locator("#guesses th").first.inner_text() == exact.pred
        shown = float(page.locator("#guesses tr").first.get_attribute("data-p"))
        assert shown == pytest.approx(exact.p_pred, abs=0.03)
        said = verdict(page)
        assert said.startswith(f"The model says {exact.pred}, ")
        assert f"The word that stood there: {SENTENCE.split()[position]}" in said
        assert ("Right." in said) == (exact.pred == exact.true)
        assert page.locator("#guesses tr").count() == 5


def test_what_is_not_known_is_said(page):
    read(page, "The zyzzyva was built .")
    hide(page, 1)
    assert "The model does not know it" in verdict(page)
    read(page, "The king [MASK] the 👩🏽‍🚀 .")
    assert pressed(page) == [2] and "You left a blank" in verdict(page)
    labels = page.locator("#words button").all_inner_texts()
    assert labels == ["The", "king", "___", "the", "👩🏽‍🚀", "."]
    read(page, "<img src=x onerror=alert(1)> _____")
    assert page.locator("main img").count() == 0
    assert "You left a blank" in verdict(page)


@pytest.mark.parametrize(
    "text, told", [("the " * 63, "63 words"), (" ", "There is no word")]
)
def test_a_refused_sentence_greys_what_it_would_replace(page, text, told):
    before = verdict(page)
    type_sentence(page, text)
    assert told in page.get_by_role("alert").inner_text()
    for part in page.locator(".mt-replaced").all():
        assert "mt-stale" in part.get_attribute("class")
    assert page.locator("#words button:enabled").count() == 0
    page.locator("#model").get_by_text("without dropout").click()
    page.locator("#layer").get_by_text("2").click()
    page.wait_for_timeout(200)
    assert verdict(page) == before and page.locator(".mt-stale").count() == 4
    read(page, SENTENCE)
    assert page.locator(".mt-stale").count() == 0
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_last_of_quick_clicks_wins(page):
    for pause in (0, 5, 40, 150):
        hide(page, 0)
        for i in (5, 2, 5):
            page.locator("#words button").nth(i).dispatch_event("click")
            page.wait_for_timeout(pause)
        page.wait_for_function("() => shown.position === 5 && shown.answer")
        complete(page)
        assert pressed(page) == [5]
        assert page.locator("#answer").get_attribute("data-position") == "5"
        page.wait_for_timeout(100)
        assert pressed(page) == [5]
        page.evaluate("known.clear()")


def test_no_answer_of_an_older_sentence_comes_after_a_newer_one(page):
    page.evaluate(WATCH)
    page.evaluate(
        """() => {
        const texts = ["The old dog .", "A cat ran .", "He was born in the city ."];
        for (const text of texts) {
          byId("text").value = text;
          byId("sentence").requestSubmit();
        } }"""
    )
    complete(page)
    page.wait_for_timeout(300)
    said = page.evaluate(
        "() => window.verdicts.filter((v, i, all) => v !== all[i - 1])"
    )
    assert len(said) == 1 and "The word that stood there: He" in said[0]


def test_the_sentence_is_painted_by_attention_or_by_need(page):
    strengths = (
        "() => [...byId('words').children].map(w => w.style.getPropertyValue('--a'))"
    )
    seen = [page.evaluate(strengths)]
    for control, label in (("layer", "2"), ("head", "3"), ("layer", "rollout")):
        page.locator(f"#{control}").get_by_text(label, exact=True).click()
        seen.append(page.evaluate(strengths))
    page.get_by_text("what it needed").click()
    seen.append(page.evaluate(strengths))
    assert len({*map(tuple, seen)}) == len(seen)
    assert page.locator("#words .mt-fall").count() > 0
    assert "points" in page.locator("#scale").inner_text()


def test_a_cell_of_the_head_grid_selects_that_head(page):
    cell = page.locator('#head-table [data-layer="4"][data-head="5"] button')
    cell.focus()
    page.keyboard.press("Enter")
    for control, label in (("layer", "4"), ("head", "5")):
        chosen = page.locator(f"#{control} [aria-pressed=true]")
        assert chosen.inner_text() == label
    assert cell.get_attribute("aria-pressed") == "true"
    focused = "() => document.activeElement.closest('td').dataset.head"
    assert page.evaluate(focused) == "5"


def test_both_models_answer(page):
    expect(page.locator("#other")).to_contain_text("without dropout, says")
    other = page.locator("#other b").inner_text()
    page.locator("#model").get_by_text("without dropout").click()
    page.wait_for_function("() => shown.model === 'without dropout' && shown.answer")
    complete(page)
    assert verdict(page).startswith(f"The model says {other}, ")


def test_a_reader_guesses_against_the_model(page):
    page.get_by_text("Guess against the model").click()
    page.get_by_role("button", name="Begin").click()
    for number in range(1, 6):
        expect(page.locator("#game-told")).to_contain_text(f"Sentence {number} of 5")
        hidden = page.evaluate("() => game.words[game.position]")
        told = page.locator("#game-sentence").inner_text().split()
        assert "?" in told
        page.locator("#game-guess").fill(hidden if number < 4 else "zyzzyva")
        page.keyboard.press("Enter")
        expect(page.locator("#game-told")).to_contain_text(f"After {number} of 5")
        if number < 5:
            page.get_by_role("button", name="Next sentence").click()
    assert "you 3, the model" in page.locator("#game-told").inner_text()
    assert page.get_by_role("button", name="Play again").is_visible()


def test_a_changed_word_is_compared_and_kept(page):
    page.get_by_text("Change one word and compare").click()
    page.locator("#change-word").select_option(label="She")
    page.locator("#change-by").fill("He")
    page.keyboard.press("Enter")
    told = page.locator("#change-told")
    expect(told).to_contain_text("her goes from")
    assert told.locator("table").count() == 2
    assert told.locator("table").nth(1).locator("th").first.inner_text() == "his"
    page.get_by_role("button", name="Go on with this sentence").click()
    complete(page)
    assert page.locator("#words button").first.inner_text() == "He"


def test_a_guess_of_ones_own_gets_its_place(page):
    second = page.locator("#guesses th").nth(1).inner_text()
    page.locator("#own").fill(second)
    assert "guess number 2" in page.locator("#own-score").inner_text()
    page.locator("#own").fill("zyzzyva")
    assert "not one of the 1,995 words" in page.locator("#own-score").inner_text()


def test_the_keyboard_alone_is_enough(page):
    words = page.locator("#words button")
    words.first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(words.nth(2)).to_be_focused()
    page.keyboard.press("Space")
    page.wait_for_function("() => shown.position === 2 && shown.answer")
    expect(words.nth(2)).to_be_focused()
    assert pressed(page) == [2]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_answer_is_seen_without_scrolling(page, size):
    page.set_viewport_size(size)
    for part in ("#words", "#verdict", "#guesses"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"], part
    below = ["#words", "#verdict", "#guesses", "#scale"]
    tops = [page.locator(part).bounding_box()["y"] for part in below]
    assert tops == sorted(tops)


@pytest.mark.parametrize("width", [320, 390, 640, 1280])
def test_it_flows_and_all_targets_are_large_enough(page, width):
    """640 pixels are what is left of 1280 at 200 %."""
    page.set_viewport_size({"width": width, "height": 700})
    read(page, "Donaudampfschifffahrtsgesellschaftskapitänsmütze " + SENTENCE)
    unfold(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, summary")]
          .filter(e => e.checkVisibility())
          .map(e => [e.id || e.textContent, e.getBoundingClientRect()])
          .filter(([, box]) => box.width < 24 || box.height < 24)
          .map(([name]) => name)"""
    )
    assert small == []
    assert page.evaluate(
        "() => [...document.querySelectorAll('button')].every(b => b.type)"
    )


@pytest.mark.parametrize(
    "scheme, size", [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)]
)
def test_axe_finds_no_violation(page, scheme, size):
    from axe_playwright_python.sync_playwright import Axe  # which imports Playwright

    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    unfold(page)
    page.get_by_role("button", name="Begin").click()
    for need in (False, True):
        if need:
            page.get_by_text("what it needed").click()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_forced_colours_and_print_keep_what_is_seen(page):
    page.emulate_media(forced_colors="active")
    styles = """() => ["#words .mt-ring", "#layer [aria-pressed=true]", ".mt-bar"]
      .map(s => getComputedStyle(document.querySelector(s)))
      .map(s => [s.outlineStyle + s.outlineWidth, s.borderWidth, s.backgroundColor])"""
    ring, chosen, bar = page.evaluate(styles)
    assert ring[0] == "solid3px" and chosen[1] == "3px"
    assert bar[2] == "rgb(0, 0, 0)"
    page.emulate_media(forced_colors="none", media="print")
    bar = "document.querySelector('#guesses .mt-bar')"
    kept = f"() => getComputedStyle({bar}).printColorAdjust"
    assert page.evaluate(kept) == "exact"
    assert (
        page.locator("#verdict").is_visible() and not page.locator("#text").is_visible()
    )


def test_without_scripts_a_sentence_says_so(chromium, path):
    context = chromium.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(path.as_uri())
    assert "switched off in this browser" in still.locator("noscript p").inner_text()
    context.close()


def test_plain_javascript_says_the_same(page, path):
    """Without SIMD, as `?slow` has it, which is slower, and equal but for rounding."""
    fast = page.evaluate("() => [...shown.answer.chance_NH]")
    page.goto(path.as_uri() + "?slow")
    complete(page)
    slow = page.evaluate("() => [...shown.answer.chance_NH]")
    assert slow == pytest.approx(fast, abs=1e-5)


def test_the_names_of_the_record_are_those_of_the_page(page):
    assert page.locator("#model button").all_inner_texts() == [*NAMES.values()]
