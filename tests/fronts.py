"""Drives the explorer in Chromium: in JupyterLab, in the classic notebook, as a page.

A front end is opened once and renewed before each test. It reaches nothing but this
machine; what else it wanted is recorded, as are its errors and dialogs. All three show
the same sentence, so that one gesture, and what must be seen then, serves them all. The
classic notebook runs with the Python named by MINI_TRANSFORMER_CLASSIC, whose packages
are those of colab-requirements.txt.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

try:
    from playwright.sync_api import expect, sync_playwright
except ModuleNotFoundError:  # said by `missing`
    sync_playwright = None

from explorer.page.__main__ import main as write_page
from helpers import ROOT
from tests.gestures import answered

STACKS = ("lab", "classic")
PYTHON = {"lab": sys.executable, "classic": os.environ.get("MINI_TRANSFORMER_CLASSIC")}
# 24 words, all in the vocabulary, of which "the" comes six times.
TEXT = (
    "The war began in the winter, and by the end of the year the army had lost the "
    "city to the king."
)
START = 1  # the word hidden at first
# As in the page, where it is the third.
EXAMPLE = (
    "A church and a city",
    "The church was built in the city, but most of it was destroyed by a fire.",
    3,
)
CELL = f"""
from explorer.page.__main__ import NAMES
from explorer.widget import Explorer
from helpers import ROOT
from helpers.checkpoint import load_model

models, tokenizer = {{}}, None
for file, name in NAMES.items():
    path = ROOT / "weights" / f"{{file}}.safetensors"
    models[name], tokenizer, _ = load_model(path, tokenizer)
examples = {{{EXAMPLE[0]!r}: {EXAMPLE[1:]!r}}}
explorer = Explorer(models, tokenizer, {TEXT!r}, position={START}, examples=examples)
explorer
"""
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
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
PATIENCE = 120_000  # milliseconds; a busy machine may need some of them
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-domain-reliability",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # web sockets, too
]


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
if sync_playwright:
    expect.set_options(timeout=PATIENCE)


def missing(name: str = "page") -> str | None:
    """What a front end cannot be driven without, in one line; None if all is there."""
    if sync_playwright is None:
        return "Playwright is not installed"
    if BROWSER is None:
        return "there is no Chromium on the PATH, nor one of Playwright's own"
    if name in STACKS and PYTHON[name] is None:
        return "MINI_TRANSFORMER_CLASSIC names no Python with the classic notebook"
    return None


def reachable(port: int) -> bool:
    """Whether a server of this machine answers at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
        deadline = time.monotonic() + PATIENCE / 1_000
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


@dataclass
class Front:
    """An open front end; `known` are the errors that its stack has without us."""

    name: str
    browser: object
    page: object
    trouble: Trouble
    known: list[str] = field(default_factory=list)
    address: str = ""  # of a page

    def renew(self):
        """The page, once it shows a fresh explorer."""
        with answered(self.page):
            if self.address:
                self.page.goto(self.address)
            else:
                self.page.evaluate(RUN[self.name])
        return self.page

    def paint(self, theme: str) -> None:
        """The theme "dark" or "light": JupyterLab's, Colab's, or that of the system."""
        if self.name == "page":
            return self.page.emulate_media(color_scheme=theme)
        change = {
            "lab": """theme => jupyterapp.commands.execute("apputils:change-theme",
                {theme: theme === "dark" ? "JupyterLab Dark" : "JupyterLab Light"})""",
            "classic": "theme => document.documentElement.setAttribute('theme', theme)",
        }
        self.page.evaluate(change[self.name], theme)
        self.page.wait_for_timeout(500)  # JupyterLab's colours come after its name


@contextmanager
def opened(name: str, folder: Path):
    """A front end, from its server to an open page; all of it ends with the block."""
    with ExitStack() as ends:
        playwright = ends.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        ends.callback(browser.close)
        if name == "page":
            file = folder / "page.html"
            write_page(["--sentence", TEXT, "--word", f"{START}", "--out", str(file)])
            context, trouble = ends.enter_context(guarded(browser))
            page = context.new_page()
            yield Front(name, browser, page, trouble, address=file.as_uri())
            return
        url = ends.enter_context(serve(name, folder))

        def notebook(context, file, *cells):
            written = new_notebook(cells=[*map(new_code_cell, cells)], metadata=KERNEL)
            nbformat.write(written, folder / "work" / file)
            page = context.new_page()
            page.goto(url + ADDRESS[name].format(file))
            page.wait_for_function(READY[name])
            return page

        with guarded(browser) as (context, own):
            notebook(context, "empty.ipynb").wait_for_timeout(1_000)
        context, trouble = ends.enter_context(guarded(browser))
        page = notebook(context, "explorer.ipynb", CELL)
        yield Front(name, browser, page, trouble, own.errors)
