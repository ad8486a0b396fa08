"""Measures the explorer in two notebooks, and takes its pictures.

    python -m tests.browser FOLDER

writes plots/records/explorer.json, plots/explorer_light.png and explorer_dark.png;
FOLDER gets the picture of the classic notebook. What it drives is in fronts.py.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from helpers import ROOT
from helpers.record import write_record
from helpers.text import split_words
from studies.lab.machine import hardware
from tests.fronts import PYTHON, STACKS, START, TEXT, missing, opened
from tests.gestures import NEEDS, mask, retype

PICTURED = (
    "She was born in London, and her first album was released in the United States "
    "in 2005.",
    7,
)
# The moments after a click that a reader waits for, in milliseconds, taken inside the
# page. Answers that a page has kept are forgotten first.
STOPWATCH = """async ([positions, needs]) => {
  const until = selector => new Promise(done => {
    const look = () => document.querySelector(selector)
      && (watch.disconnect(), done(performance.now()));
    const watch = new MutationObserver(look);
    watch.observe(document.body, {childList: true, subtree: true, attributes: true});
    look();
  });
  const times = [];
  for (const position of positions) {
    if (typeof known !== "undefined") known.clear();
    const start = performance.now();
    document.querySelectorAll(".mt-words button")[position].click();
    const answered = await until(`.mt-card[data-position="${position}"]`);
    const needed = await until(needs);
    times.push({answer: answered - start, needed: needed - start});
    await new Promise(done => setTimeout(done, 50));
  }
  return times;
}"""


def stopwatch(page, positions: list[int]) -> list[dict]:
    """Clicks one word after the other; milliseconds until each one's results."""
    return page.evaluate(STOPWATCH, [positions, NEEDS])


def clicks(n_words: int, n: int = 50) -> list[int]:
    """Words to click, in random rounds over all; each click asks for another word."""
    shuffled, found = random.Random(0), [START]
    while len(found) <= n:
        order = shuffled.sample(range(n_words), n_words)
        found += order if order[0] != found[-1] else order[::-1]
    return found[1 : n + 1]


def spread(times: list[float]) -> dict[str, float]:
    """Percentiles, each one of the times itself."""
    points = np.percentile(times, [50, 95, 100], method="inverted_cdf").round(1)
    return dict(zip(("p50", "p95", "max"), points.tolist(), strict=True))


def versions(stack: str) -> dict[str, str]:
    """What the stack consists of."""
    program = "import sys; from importlib.metadata import version; "
    program += "print(*map(version, sys.argv[1:]))"
    server = {"lab": "jupyterlab", "classic": "notebook"}[stack]
    names = [server, "ipywidgets", "ipykernel", "torch"]
    command = [PYTHON[stack], "-c", program, *names]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return dict(zip(names, done.stdout.split(), strict=True))


def main(folder: Path) -> None:
    """Measures both stacks, and takes pictures of them."""
    record = {
        "what": "milliseconds from a click on a word, taken inside the page: until its "
        "prediction is there, and from then until its knock-outs are, where no earlier "
        "click had asked for them",
        "command": "python -m tests.browser FOLDER",
        "words": len(split_words(TEXT)),
        "clicks": 50,
        "hardware": hardware(),
        "stacks": {},
    }
    for stack in STACKS:
        if reason := missing(stack):
            sys.exit(f"{stack}: {reason}")
        with tempfile.TemporaryDirectory() as there, opened(stack, Path(there)) as book:
            page = book.renew()
            order = clicks(record["words"], record["clicks"])
            times = stopwatch(page, order)
            first = [times[order.index(i)] for i in {*order} - {START}]
            waits = [time["needed"] - time["answer"] for time in first]
            record["stacks"][stack] = {
                "versions": versions(stack) | {"chromium": book.browser.version},
                "prediction_ms": spread([time["answer"] for time in times]),
                "knock_outs_ms": spread(waits),
            }
            text, position = PICTURED
            retype(page, text)
            mask(page, position)
            page.mouse.move(0, 0)
            explorer = page.locator(".mt-box").first
            if stack == "lab":
                explorer.screenshot(path=ROOT / "plots/explorer_light.png")
                book.paint("dark")
                explorer.screenshot(path=ROOT / "plots/explorer_dark.png")
            else:
                explorer.screenshot(path=folder / "explorer_classic.png")
    write_record(ROOT / "plots/records/explorer.json", record)
    print(json.dumps(record["stacks"], indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
