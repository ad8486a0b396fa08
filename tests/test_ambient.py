"""What surrounds a program changes nothing: locale, console, a reader's own style."""

import ast
import hashlib
import os
import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pytest
import seaborn as sns
from nbformat.v4 import new_code_cell, new_notebook
from test_notebooks import loose_figures
from test_viz import RECORD, prediction

from explorer.heatmap import sentence_heatmap, text_widths
from helpers import ROOT, attention_plots, curves, figure, record
from notebooks.source import notebooks
from studies import figures, plateau_runs
from studies.attention import figures as attention_figures
from studies.lessons import __main__ as lessons
from studies.speed import speedrun, throughput

RECORDS = ROOT / "plots" / "records"
SOURCES = sorted(
    path
    for folder in ("explorer", "helpers", "studies", "tests")
    for path in (ROOT / folder).glob("*.py")
)

# Text files are UTF-8.


def without_encoding(source: str) -> list[str]:
    """Calls that read or write text and leave the encoding to the locale."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        place = {"read_text": 1, "write_text": 2}.get(name)
        modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
        modes += [ast.literal_eval(given["mode"])] if "mode" in given else []
        binary = any(isinstance(m, str) and "b" in m and len(m) < 4 for m in modes)
        if (
            (place and len(node.args) < place)
            or (name in ("open", "fdopen", "NamedTemporaryFile") and not binary)
            or (name in ("run", "Popen", "check_output") and "text" in given)
        ) and "encoding" not in given:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_text_file_is_read_and_written_as_utf_8(path):
    others = ("Image.open", "safe_open")  # which open no text
    found = without_encoding(path.read_text("utf-8"))
    assert [call for call in found if not call.startswith(others)] == []


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.name[:2])
def test_notebooks_name_the_encoding_of_a_file(path):
    book = nbformat.read(path, as_version=4)
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    assert sum(map(without_encoding, code), []) == []


@pytest.mark.parametrize(
    "call",
    ["path.read_text({})", "path.write_text(text{})", "open(path{})"]
    + ["path.open('w'{})", "open(path, mode='a'{})", "run(command, text=True{})"],
)
def test_a_call_without_an_encoding_is_found(call):
    assert without_encoding(call.format(""))
    named = "encoding='utf-8'" if "({}" in call else ", encoding='utf-8'"
    assert without_encoding(call.format(named)) == []


PROGRAM = """\
import hashlib, importlib, json, locale, sys, tempfile, warnings
from pathlib import Path

ours = r"(__main__|explorer|helpers|studies)\\b"
warnings.filterwarnings("error", category=EncodingWarning, module=ours)
from helpers import ROOT, record
from helpers.bpe import BPETokenizer
from helpers.tokenizer import WordTokenizer

for folder in ("explorer", "helpers", "studies"):
    for path in sorted((ROOT / folder).glob("*.py")):
        importlib.import_module(f"{folder}.{path.stem}")
found = [record.read(path) for path in sorted((ROOT / "plots/records").rglob("*.json"))]
print(locale.getencoding(), hashlib.sha256(repr(found).encode()).hexdigest())
with tempfile.TemporaryDirectory() as folder:
    path, lines = Path(folder, "a.json"), ["東京 naïve ✓"]
    for tokenizer in (WordTokenizer.train(lines, 9), BPETokenizer.train(lines, 4)):
        tokenizer.save(path)
        assert vars(type(tokenizer).load(path)) == vars(tokenizer)
    record.write(path, {"a": lines})
    assert record.read(path) == {"a": lines} == json.loads(path.read_bytes())
"""


def printed(tmp_path, source: str, console: str) -> tuple[list[str], str]:
    """What a program prints, where text is not UTF-8 by default, on a console."""
    program = tmp_path / "program.py"
    program.write_text(source, "utf-8")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    console = {"PYTHONIOENCODING": console, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", str(program)],
        env=os.environ | locale | console,
        capture_output=True,
        encoding=console["PYTHONIOENCODING"],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_records_and_words_are_the_same_in_any_locale(tmp_path):
    (line,), _ = printed(tmp_path, PROGRAM, "cp1252")
    encoding, digest = line.split()
    found = [record.read(path) for path in sorted(RECORDS.rglob("*.json"))]
    assert digest == hashlib.sha256(repr(found).encode()).hexdigest()
    assert encoding.lower() not in ("utf-8", "utf8")


SAYS = """\
import sys
from helpers.notebook import check, ledger

check("東京 → naïve", True)
ledger()
print("✗", file=sys.stderr)
"""


@pytest.mark.parametrize("console", ["ascii", "cp1252", "utf-8"])
def test_a_console_without_a_sign_shows_a_question_mark(console, tmp_path):
    said, warned = printed(tmp_path, SAYS, console)

    def shown(text):
        return text.encode(console, "replace").decode(console)

    claim = shown("✓ 東京 → naïve")
    assert said == [claim, "1 claims verified:", claim]
    assert warned.splitlines()[-1] == shown("✗")


# No notebook warns.

WARNS = "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=1)"
OURS = "import helpers.toy\nexec(compile(source, 'x', 'exec'), vars(helpers.toy))"


@pytest.mark.parametrize(
    "code, failed", [("1 + 1", 0), (WARNS, 1), (f"source = {WARNS!r}\n{OURS}", 1)]
)
def test_a_cell_that_warns_fails_though_its_output_is_ignored(code, failed, tmp_path):
    """Also where the warning is one that Python does not show, if it is of ours."""
    tags = {"tags": ["nbval-ignore-output"]}
    cell = new_code_cell(code, metadata=tags, execution_count=1)
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "conftest", "--rootdir", tmp_path]
    nbval = ["--nbval", "--nbval-current-env", tmp_path / "a.ipynb"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, *quiet, *nbval],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == failed, done.stdout
    assert ("The cell wrote to stderr" in done.stdout) == failed


# Figures have a style of their own.


def dropout_study():
    runs = [record.read(p) for p in sorted((RECORDS / "dropout_study").glob("*.json"))]
    return figures.dropout_study(record.read(RECORDS / "dropout_study.json"), runs)


def plateau_study():
    plateau = record.read(plateau_runs.SUMMARY)
    return figures.plateau_study(plateau, plateau_runs.runs_of(plateau))


def attention(name):
    drawn = getattr(attention_figures, name)
    return lambda: drawn(record.read(RECORDS / "attention.json"))


def one(drawn, **options):
    """A figure of one sentence."""
    return lambda: drawn(prediction("In 1905 the ship sank".split()), **options)


def matrix(p):
    return attention_plots.attention_matrix(
        p.weights_NHTS[0, 0], p.tokens, p.tokens, "a title"
    )


DRAWN = {
    "attention_matrix": one(matrix),
    "head_matrix": one(attention_plots.head_matrix),
    "attention_mosaic": one(attention_plots.attention_mosaic),
    "sentence_heatmap": one(sentence_heatmap),
    "training_curves": lambda: curves.training_curves([RECORD]),
    "true_vs_pred": lambda: curves.true_vs_pred(RECORD),
    "dropout_study": dropout_study,
    "plateau_study": plateau_study,
    "time_to_quality": lambda: speedrun.time_to_quality(speedrun.results()),
    "step_ratios": lambda: throughput.step_ratios(
        record.read(RECORDS / "throughput.json")
    ),
    "knowledge_figure": lambda: attention_figures.knowledge_figure(
        record.read(RECORDS / "knowledge.json")
    ),
    "erasure_figure": attention("erasure_figure"),
    "heads_figure": attention("heads_figure"),
}


def drawings() -> dict[str, bytes]:
    """Every figure of the project, as PNG."""
    drawn = {name: draw() for name, draw in DRAWN.items()}
    drawn |= lessons.figures(record.read(RECORDS / "lessons.json"))
    return {name: figure.png(found) for name, found in drawn.items()}


HOSTILE = {
    "text.usetex": True,
    "font.family": "monospace",
    "figure.facecolor": "black",
    "savefig.facecolor": "red",
    "savefig.bbox": "tight",
    "text.color": "white",
    "lines.linewidth": 9,
    "axes.grid": True,
    "axes.unicode_minus": False,
    "figure.dpi": 30,
}


def test_a_readers_style_changes_no_figure_and_stays_the_readers(monkeypatch):
    monkeypatch.setattr(figure, "DPI", 40)  # to be quicker
    plain = drawings()
    with matplotlib.rc_context():
        plt.style.use("dark_background")
        sns.set_theme(style="darkgrid", palette="bright", font_scale=2)
        matplotlib.rcParams |= HOSTILE
        before = dict(matplotlib.rcParams)
        try:
            dark = drawings()
            wide = text_widths(["words"], {"fontsize": 12})
            assert dict(matplotlib.rcParams) == before
        finally:
            sns.set_color_codes("reset")
    assert [name for name in plain if plain[name] != dark[name]] == []
    assert wide == text_widths(["words"], {"fontsize": 12})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_figure_is_made_in_the_default_style(path):
    assert loose_figures(path.read_text("utf-8")) == []
