"""What surrounds a program changes nothing: locale, console, device, number format."""

import ast
import hashlib
import os
from dataclasses import replace

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from program import python
from test_package import CELLS, SOURCES
from tiny import CONFIG, without_clock

from explorer.knockout import without_heads, without_words
from explorer.predict import fill_mask
from helpers import ROOT
from helpers.corpus import load_corpus
from helpers.data import TrainingData, batches, bucket, pack, pad
from helpers.layers import sinusoidal_positions
from helpers.masking import mask_tokens
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.record import read_record
from helpers.seeds import seeded
from helpers.tokenizer import WordTokenizer
from helpers.train import train


def without_encoding(source: str) -> list[str]:
    """Calls that read or write text and leave the encoding to the locale."""
    calls = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        modes = [*map(ast.unparse, node.args), given.get("mode", "")]
        if (
            (name in ("read_text", "write_text") and "utf-8" not in str(modes))
            or (name in ("open", "fdopen") and not any("b'" in m for m in modes))
            or (name in ("run", "Popen", "check_output") and "text" in given)
        ) and "encoding" not in given:
            calls.append(ast.unparse(node))
    return calls


def test_every_text_file_is_read_and_written_as_utf_8():
    for module, source in (SOURCES | CELLS).items():
        calls = without_encoding(source)
        assert [c for c in calls if not c.startswith("Image.open")] == [], module


def test_a_call_without_an_encoding_is_seen():
    calls = "path.read_text(", "open(p, ", "path.open('w', ", "run(command, text=True, "
    for call in calls:
        assert without_encoding(f"{call})")
        assert without_encoding(f"{call}encoding='utf-8')") == []


PROGRAM = """\
import hashlib, json, locale, sys, tempfile, warnings
from pathlib import Path

ours = r"(__main__|explorer|helpers|studies)\\b"
warnings.filterwarnings("error", category=EncodingWarning, module=ours)
from helpers import ROOT
from helpers.bpe import BPETokenizer
from helpers.record import read_record, write_record
from helpers.tokenizer import WordTokenizer

records = [read_record(p) for p in sorted((ROOT / "plots/records").rglob("*.json"))]
print(locale.getencoding(), hashlib.sha256(repr(records).encode()).hexdigest())
with tempfile.TemporaryDirectory() as folder:
    path, lines = Path(folder, "a.json"), ["東京 naïve ✓"]
    for tokenizer in (WordTokenizer.train(lines, 9), BPETokenizer.train(lines, 4)):
        tokenizer.save(path)
        assert vars(type(tokenizer).load(path)) == vars(tokenizer)
    write_record(path, {"a": lines})
    assert read_record(path) == {"a": lines} == json.loads(path.read_bytes())
"""


def printed(folder, source: str, console: str) -> tuple[list[str], str]:
    """What a program prints, where text is not UTF-8 by default, on a console."""
    (folder / "program.py").write_text(source, "utf-8")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    variables = locale | {"PYTHONIOENCODING": console, "PYTHONPATH": str(ROOT)}
    how = ["-X", "warn_default_encoding"]
    done = python(*how, folder / "program.py", encoding=console, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_records_and_words_are_the_same_in_any_locale(tmp_path):
    (line,), _ = printed(tmp_path, PROGRAM, "cp1252")
    encoding, digest = line.split()
    paths = sorted((ROOT / "plots/records").rglob("*.json"))
    records = repr([read_record(path) for path in paths])
    assert digest == hashlib.sha256(records.encode()).hexdigest()
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
    shown = "✓ 東京 → naïve\n✗".encode(console, "replace").decode(console)
    claim, cross = shown.splitlines()
    assert said == [claim, "1 claims verified."]
    assert warned.splitlines()[-1] == cross


WARNS = "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=1)"
OURS = f"""
import helpers.toy
exec(compile({WARNS!r}, 'x', 'exec'), vars(helpers.toy))"""


def test_a_cell_that_warns_fails_though_its_output_is_ignored(tmp_path):
    """Also where the warning is one that Python does not show, if it is of ours."""
    tags = {"tags": ["nbval-ignore-output"]}
    cells = [new_code_cell(code, metadata=tags) for code in ("1 + 1", WARNS, OURS)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "a.ipynb")
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "conftest", "--rootdir", tmp_path]
    nbval = ["--nbval", "--nbval-current-env", tmp_path / "a.ipynb"]
    options = ["-c", os.devnull, *quiet, *nbval]
    done = python("-m", "pytest", *options, folder=tmp_path, PYTHONPATH=str(ROOT))
    assert done.stdout.splitlines()[-1].startswith("2 failed, 1 passed"), done.stdout
    assert done.stdout.count("The cell wrote to stderr") == 2


CORPUS = load_corpus("toy")
TOKENIZER = WordTokenizer.train(CORPUS.train)
LINES = [[5, 6, 7, 8], [9, 10], [11, 12, 13]]


def draws() -> list:
    """Rows, batches and masks of all kinds, as plain numbers."""
    stream = torch.arange(5, 405, device="cpu")
    ids = pack(LINES * 9, 8)
    made = [pad(LINES, 8), *bucket(LINES, 8, 2, seeded(1)), ids]
    made.append(next(batches(stream, 8, 4, seed=3, start=5)))
    for fixed in (True, False):
        made += mask_tokens(ids, 20, 0.4, seeded(2), fixed=fixed)
    return [tensor.tolist() for tensor in [*made, sinusoidal_positions(5, 6)]]


def results(positions: str) -> list:
    """Draws, the history of a training, and what its model says."""
    data = TrainingData.prepare(TOKENIZER, CORPUS, 32, sample=16)
    data.validation_BT, data.subset_BT = data.validation_BT[:9], data.subset_BT[:9]
    data.stream = data.stream[:4_000]
    torch.manual_seed(0)
    sizes = dict(max_length=32, n_layers=1, d_model=16, n_heads=2, d_ff=16, dropout=0.1)
    config = ModelConfig(len(TOKENIZER), positions=positions, **sizes)
    model = MaskedLanguageModel(config)
    how = replace(CONFIG, epochs=1, batch_size=16, optimizer="muon", evaluations=1)
    history = train(model, data, how).history
    model.eval()
    said = fill_mask(model, TOKENIZER, "The fox left .", 1)
    knocked = without_words(model, TOKENIZER, said).tolist()
    knocked += without_heads(model, TOKENIZER, said).tolist()
    told = said.top, said.attention("rollout").tolist(), knocked
    return [draws(), without_clock(history), *told]


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_neither_device_nor_number_format_by_default_changes_anything(positions):
    want = results(positions)
    try:
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        found = results(positions)
        assert torch.get_default_dtype() == torch.float64
        assert torch.empty(1).device.type == "meta"
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert found == want
