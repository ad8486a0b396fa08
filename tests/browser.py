"""Drives the explorer in Chromium, in JupyterLab and in the classic notebook.

Each stack gets a server and a page of its own. The page reaches nothing but this
machine, and what else it wanted is recorded, as are its errors and dialogs.

    python -m tests.browser FOLDER

measures clicks in both stacks, writes plots/records/explorer.json and takes pictures:
plots/explorer_light.png and explorer_dark.png; FOLDER gets the one of the classic
notebook. That runs with the Python named by MINI_TRANSFORMER_CLASSIC, whose packages
are those of colab-requirements.txt.
"""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook

try:
    from playwright.sync_api import expect, sync_playwright
except ModuleNotFoundError:  # said by `missing`
    sync_playwright = None

from helpers import ROOT
from helpers.record import write
from helpers.text import split_words
from studies.lab.machine import hardware

STACKS = ("lab", "classic")
PYTHON = {"lab": sys.executable, "classic": os.environ.get("MINI_TRANSFORMER_CLASSIC")}
# 24 words, all in the vocabulary, of which "the" comes six times.
TEXT = (
    "The war began in the winter, and by the end of the year the army had lost the "
    "city to the king."
)
START = 1  # the word hidden at first
EXAMPLE = "The church was built in the city.", 3
PICTURED = (
    "She was born in London, and her first album was released in the United States "
    "in 2005.",
    7,
)
CELL = f"""
from explorer.widget import Explorer
from helpers import ROOT
from helpers.checkpoint import load_model

models, tokenizer = {{}}, None
for name in ("dropout", "no_dropout"):
    path = ROOT / "weights" / f"{{name}}.safetensors"
    models[name], tokenizer, _ = load_model(path, tokenizer)
explorer = Explorer(
    {{"with dropout": models["dropout"], "without dropout": models["no_dropout"]}},
    tokenizer,
    {TEXT!r},
    position={START},
    examples={{"a church": {EXAMPLE!r}}},
)
explorer
"""

COMMAND = {
    "lab": "jupyterlab --IdentityProvider.token= --ServerApp.root_dir={} "
    "--expose-app-in-browser --LabApp.extension_manager=readonly",
    "classic": "notebook --NotebookApp.token= --NotebookApp.notebook_dir={}",
}
# The news would be fetched from outside, after a question to the reader.
QUIET = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
# Without "reset" JupyterLab would open once more what was open before.
ADDRESS = {"lab": "/lab/tree/{}?reset", "classic": "/notebooks/{}"}
READY = {
    "lab": """() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session
        ?.kernel?.status === "idle" """,
    "classic": "() => window.IPython?.notebook?.kernel?.widget_manager",
}
RUN = {
    "lab": "() => jupyterapp.commands.execute('notebook:run-all-cells')",
    # What the manager loads when it starts would draw the widgets a second time.
    "classic": """async () => {
        await IPython.notebook.kernel.widget_manager._loadFromKernel();
        IPython.notebook.execute_all_cells();
    }""",
}
OUTSIDE = re.compile(
    r"^(?!(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|(file|data|blob|about):)"
)
PATIENCE = 20_000  # milliseconds; a busy machine may need some of them
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-domain-reliability",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # web sockets, too
]

# The two moments after a click that a reader waits for, taken inside the page.
STOPWATCH = """() => {
  window.clicks = [];
  const has = selector => document.querySelector(selector) !== null;
  document.addEventListener("click", event => {
    const button = event.target.closest(".mt-words button");
    if (!button) return;
    const all = [...document.querySelectorAll(".mt-words button")];
    const start = performance.now(), position = all.indexOf(button);
    const times = {};
    window.clicks.push(times);
    const look = () => {
      const now = performance.now();
      if (!("card" in times) && has(`.mt-card[data-position="${position}"]`))
        times.card = now - start;
      if ("card" in times
          && has(`.mt-needs:not(.mt-waiting) .mt-knock[data-for="${position}"]`)) {
        times.knocked = now - start - times.card;
        watch.disconnect();
      }
    };
    const watch = new MutationObserver(look);
    const what = {childList: true, subtree: true, attributeFilter: ["class"]};
    watch.observe(document.body, what);
  }, true);
}"""
NUMBERS = """() => {
  const data = selector =>
    [...document.querySelectorAll(selector)].map(found => ({...found.dataset}));
  return {
    card: data(".mt-card"), pred: data(".mt-pred"), true: data(".mt-true"),
    top: data(".mt-top tr"), knock: data(".mt-knock tr[data-position]"),
    heads: data(".mt-heads td[data-p]"),
  };
}"""


def find_browser() -> str | None:
    """Where Chromium is: on the PATH, or where Playwright keeps its own."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if sync_playwright is None:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


BROWSER = find_browser()


def missing(stack: str = "lab") -> str | None:
    """What a stack cannot be driven without, in one line; None if all is there."""
    if sync_playwright is None:
        return "Playwright is not installed"
    if BROWSER is None:
        return "there is no Chromium on the PATH, nor one of Playwright's own"
    if PYTHON[stack] is None:
        return "MINI_TRANSFORMER_CLASSIC names no Python with the classic notebook"
    return None


def write_notebook(path: Path, *sources: str) -> None:
    """Writes a notebook of code cells."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


@contextmanager
def serve(stack: str, folder: Path):
    """A notebook server that knows no settings of this machine's; yields its address.

    Its kernels import this project, and end with it.
    """
    work, home = folder / "work", folder / "home"
    work.mkdir(parents=True)
    (home / "config/labconfig").mkdir(parents=True)
    (home / "config/labconfig/page_config.json").write_text(json.dumps(QUIET), "utf-8")
    foreign = ("JUPYTER", "IPYTHON", "PYTHON", "XDG_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    env |= {f"JUPYTER_{k.upper()}_DIR": f"{home / k}" for k in ("config", "runtime")}
    env |= {"HOME": str(home), "JUPYTER_DATA_DIR": str(home / "data")}
    env |= {"PYTHONPATH": str(ROOT), "MINI_TRANSFORMER_BUDGET": "quick"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [PYTHON[stack], "-m", *COMMAND[stack].format(work).split(" ")]
    command += ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    with open(folder / "server.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env=env, cwd=work, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not reachable(port):
            if process.poll() is not None or time.monotonic() > deadline:
                told = (folder / "server.log").read_text("utf-8")[-2_000:]
                raise RuntimeError(f"The server did not start: {told}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()  # which ends its kernels, too
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def reachable(port: int) -> bool:
    """Whether a server of this machine answers at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Trouble:
    """What no reader should meet."""

    wanted: list[str] = field(default_factory=list)  # addresses outside this machine
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def note(self, kind: str, text: str) -> None:
        """Notes it without ports and ids, which differ from page to page."""
        getattr(self, kind).append(re.sub(r"[0-9a-f]{8}[0-9a-f-]*|\d{4,}", "#", text))


@contextmanager
def guarded(browser):
    """A browser context that reaches this machine only; yields it and its trouble."""
    trouble = Trouble()

    def refuse(route):
        trouble.note("wanted", route.request.url)
        route.abort()

    def socket_opened(opened):
        if OUTSIDE.match(opened.url):  # and not resolved, see FLAGS
            trouble.note("wanted", opened.url)

    def said(message):
        if message.type == "error":
            trouble.note("errors", f"{message.text} ({message.location['url']})")

    def asked(dialog):
        trouble.note("dialogs", dialog.message)
        dialog.dismiss()

    size = {"width": 1280, "height": 2400}
    context = browser.new_context(viewport=size, service_workers="block")
    context.set_default_timeout(PATIENCE)
    context.route(OUTSIDE, refuse)
    context.on("page", lambda page: page.on("websocket", socket_opened))
    context.on("console", said)
    context.on("weberror", lambda failed: trouble.note("errors", str(failed.error)))
    context.on("dialog", asked)
    try:
        yield context, trouble
    finally:
        context.close()


@contextmanager
def redrawn(page, selector: str):
    """Waits until the block has put something new in the place of what matches."""
    page.evaluate(
        "s => document.querySelectorAll(s).forEach(old => old.dataset.old = '')",
        selector,
    )
    yield
    page.wait_for_selector(f"{selector}:not([data-old])", state="attached")


def words(page):
    """The buttons of the sentence, also in a saved page."""
    return page.locator(".mt-words button")


def settle(page, position: int) -> None:
    """Waits for the prediction and the knock-outs of a word."""
    page.wait_for_selector(f'.mt-card[data-position="{position}"]')
    known = f'.mt-needs:not(.mt-waiting) .mt-knock[data-for="{position}"]'
    page.wait_for_selector(known, state="attached")


def mask(page, position: int) -> None:
    """Clicks a word and waits for all that follows."""
    words(page).nth(position).click()
    settle(page, position)


def choose(page, control: str, label: str) -> None:
    """Presses the button of a row (paint, layer, head, model); waits for colours."""
    with redrawn(page, ".mt-scale"), redrawn(page, ".mt-colours style"):
        page.locator(f".mt-{control} button").get_by_text(label, exact=True).click()


def enter(page, control: str, text: str) -> None:
    """Types into a field (sentence, guess) and presses Enter."""
    box = page.locator(f".mt-{control} input")
    box.fill(text)
    box.press("Enter")


def retype(page, text: str, key: str = "Enter") -> None:
    """Types another sentence and waits for its buttons and its first card."""
    with redrawn(page, ".mt-card"):
        page.locator(".mt-sentence input").fill(text)
        page.keyboard.press(key)
    expect(words(page)).to_have_count(len(split_words(text)), timeout=PATIENCE)
    settle(page, 0)


def numbers(page) -> dict:
    """Every exact number that the explorer shows."""
    return page.evaluate(NUMBERS)


@dataclass
class Notebook:
    """An open notebook that shows the explorer; `known` are its stack's own errors."""

    stack: str
    browser: object
    page: object
    trouble: Trouble
    known: list[str]

    def run(self):
        """Runs the cell anew; the page, once it shows a fresh explorer."""
        with redrawn(self.page, ".mt-card"):
            self.page.evaluate(RUN[self.stack])
        return self.page

    @contextmanager
    def dark(self):
        """JupyterLab's dark theme for a while."""
        self.paint("JupyterLab Dark", light="false")
        try:
            yield
        finally:
            self.paint("JupyterLab Light", light="true")

    def paint(self, theme: str, light: str) -> None:
        """Changes the theme; its colours arrive later than its name."""
        change = (
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})"
        )
        self.page.evaluate(change, theme)
        self.page.wait_for_selector(f'[data-jp-theme-light="{light}"] .mt-box')
        self.page.wait_for_timeout(500)


@contextmanager
def drive(stack: str, folder: Path):
    """A running stack with one open notebook; all of it ends with the block."""
    with ExitStack() as ends:
        url = ends.enter_context(serve(stack, folder))
        playwright = ends.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        ends.callback(browser.close)

        def opened(context, name, *cells):
            write_notebook(folder / "work" / name, *cells)
            page = context.new_page()
            page.goto(url + ADDRESS[stack].format(name))
            page.wait_for_function(READY[stack])
            return page

        with guarded(browser) as (context, own):
            opened(context, "empty.ipynb").wait_for_timeout(1_000)
        context, trouble = ends.enter_context(guarded(browser))
        page = opened(context, "explorer.ipynb", CELL)
        yield Notebook(stack, browser, page, trouble, own.errors)


def stopwatch(page, positions: list[int]) -> list[dict]:
    """Clicks one word after the other; milliseconds until each one's results."""
    page.evaluate(STOPWATCH)
    for position in positions:
        words(page).nth(position).click()
        page.wait_for_function("() => 'knocked' in window.clicks.at(-1)")
    return page.evaluate("() => window.clicks")


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
    told = subprocess.run(
        command, check=True, capture_output=True, encoding="utf-8"
    ).stdout
    return dict(zip(names, told.split(), strict=True))


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
        with tempfile.TemporaryDirectory() as there, drive(stack, Path(there)) as book:
            page = book.run()
            order = clicks(record["words"], record["clicks"])
            times = stopwatch(page, order)
            first = [times[order.index(i)]["knocked"] for i in {*order} - {START}]
            record["stacks"][stack] = {
                "versions": versions(stack) | {"chromium": book.browser.version},
                "prediction_ms": spread([time["card"] for time in times]),
                "knock_outs_ms": spread(first),
            }
            text, position = PICTURED
            retype(page, text)
            mask(page, position)
            page.mouse.move(0, 0)
            explorer = page.locator(".mt-box").first
            if stack == "lab":
                explorer.screenshot(path=ROOT / "plots/explorer_light.png")
                with book.dark():
                    explorer.screenshot(path=ROOT / "plots/explorer_dark.png")
            else:
                explorer.screenshot(path=folder / "explorer_classic.png")
    write(ROOT / "plots/records/explorer.json", record)
    print(json.dumps(record["stacks"], indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
