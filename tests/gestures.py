"""What a reader does in the explorer, and what is seen then, in every front end.

Widget and live page share the look, and so most classes; PARTS names the rest.
"""

from contextlib import contextmanager

NEEDS = ":is(.mt-needs, #needs):not(.mt-waiting)"  # once all knock-outs are there
PARTS = {
    "sentence": ".mt-sentence input, #text",
    "examples": ".mt-examples select, #examples",
    "guess": ".mt-guess input, #own",
    "own": ".mt-own, #own-score",
    "game guess": ".mt-game-guess input, #game-guess",
    "game told": ".mt-game-told, #game-told",
    "replace": ".mt-change-word select, #change-word",
    "by": ".mt-change-by input, #change-by",
    "compared": ".mt-change-told, #change-told",
}
NUMBERS = """() => {
  const data = selector =>
    [...document.querySelectorAll(selector)].map(found => ({...found.dataset}));
  return {top: data(".mt-card .mt-top tr"), knock: data(".mt-knock tr[data-position]"),
    heads: data(".mt-heads td[data-p]")};
}"""
PRESSED = """row => {
  const seen = ({boxShadow, fontWeight}) =>
    row === "words" ? /(^|\\D)0px 0px 0px [2-9]/.test(boxShadow) : fontWeight >= 700;
  return [...document.querySelectorAll(`:is(.mt-${row}, #${row}) button`)]
    .map((button, i) => [i, button.getAttribute("aria-pressed") === "true",
      seen(getComputedStyle(button))])
    .filter(([, told, seen]) => told || seen);
}"""


@contextmanager
def redrawn(page, selector: str):
    """Waits until the block has put something new in the place of what matches."""
    page.evaluate(
        "s => document.querySelectorAll(s).forEach(old => old.dataset.old = '')",
        selector,
    )
    yield
    page.wait_for_selector(f"{selector}:not([data-old])", state="attached")


@contextmanager
def answered(page):
    """Waits until the block has brought another answer, with all that follows it."""
    with redrawn(page, ".mt-card .mt-top"):
        yield
    page.wait_for_selector(NEEDS, state="attached")


def part(page, name: str):
    """A part of the explorer that has a name in PARTS."""
    return page.locator(PARTS[name])


def words(page):
    """The buttons of the sentence."""
    return page.locator(".mt-words button")


def labels(page) -> list[str]:
    """What stands on the buttons of the sentence."""
    return [label.replace("\u200b", "") for label in words(page).all_inner_texts()]


def pressed(page, row: str = "words") -> list[int]:
    """The buttons of a row that are pressed, to the eye and in the markup alike."""
    found = page.evaluate(PRESSED, row)
    assert all(told and seen for _, told, seen in found), found
    return [i for i, *_ in found]


def focused(page) -> int:
    """The position of the word that has the keyboard's focus; -1 if none has."""
    return page.evaluate("""() => [...document.querySelectorAll(".mt-words button")]
        .indexOf(document.activeElement)""")


def card(page) -> str:
    """The answer in words."""
    return page.locator(".mt-card").inner_text()


def mask(page, position: int) -> None:
    """Clicks a word that is not hidden yet, and waits for all that follows."""
    with answered(page):
        words(page).nth(position).click()


def choose(page, row: str, label: str) -> None:
    """Presses a button of a row (paint, layer, head, model); waits for the colours."""
    with redrawn(page, ".mt-scale > span"):
        buttons = page.locator(f":is(.mt-{row}, #{row}) button")
        buttons.get_by_text(label, exact=True).click()


def enter(page, name: str, text: str, key: str = "Enter") -> None:
    """Types into a field and presses a key."""
    part(page, name).fill(text)
    part(page, name).press(key)


def retype(page, text: str, key: str = "Enter") -> None:
    """Types another sentence and waits for its answer."""
    with answered(page):
        enter(page, "sentence", text, key)


def press(page, label: str) -> None:
    """Presses the button that has this label."""
    page.get_by_role("button", name=label, exact=True).click()


def unfold(page) -> None:
    """Opens all that is folded away."""
    page.evaluate(
        "() => document.querySelectorAll('details').forEach(e => { e.open = true; })"
    )


def numbers(page) -> dict:
    """Every exact number that the explorer shows."""
    return page.evaluate(NUMBERS)


def blues(page) -> list[str]:
    """The grounds of the words."""
    return page.evaluate("""() => [...document.querySelectorAll(".mt-words button")]
        .map(word => getComputedStyle(word))
        .map(style => style.backgroundColor + style.backgroundImage)""")
