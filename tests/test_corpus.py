"""Where the text comes from, whose it is, and what happens when none can be had.

A hub of our own on this machine serves a text, or goes wrong in one of many ways.
"""

import random
import re
import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pyarrow
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from helpers import corpus
from helpers.model import ModelConfig
from helpers.toy import ANIMALS, RULES, SEASONS, WOMEN, toy_split
from studies.lab.experiment import prepare_experiment
from studies.lab.scored_text import require_wikitext

OWN = {
    "train": ["猫 が 好き", "犬  も\t好き \n"],
    "validation": ["猫"],
    "test": ["犬", ""],
}
CLOSED = "http://127.0.0.1:9"  # nobody listens there
VARIABLE = corpus.FOLDER_VARIABLE


def write(folder: Path, splits: dict) -> Path:
    """A folder in the hub's layout with these splits: rows, a table or bytes."""
    for split, rows in splits.items():
        file = folder / corpus.CONFIG / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(rows, bytes):
            file.write_bytes(rows)
            continue
        table = pyarrow.table({"text": rows}) if isinstance(rows, list) else rows
        parquet.write_table(table, file)
    return folder


class Hub(SimpleHTTPRequestHandler):
    """Serves a folder as the hub does, or goes wrong in the way that the server has."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append(self.path)
        self.path = self.path.partition(corpus.REVISION)[2]
        if self.server.way == "silent":
            time.sleep(60)
        if isinstance(self.server.way, int):
            self.send_error(self.server.way)
        else:
            super().do_GET()

    def copyfile(self, source, outputfile):
        content = source.read()
        for start in range(0, len(content), 70_000):
            outputfile.write(content[start : start + 70_000])
            if self.server.way == "cut":
                return
            time.sleep({"stall": 60, "slow": 1.2}.get(self.server.way, 0))


def ask(monkeypatch, address: str) -> None:
    """Has the client ask a hub at this address."""
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """An empty cache, no folder chosen, and no proxy."""
    monkeypatch.delenv(VARIABLE, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    ask(monkeypatch, CLOSED)
    monkeypatch.setattr(corpus, "PATIENCE", 2.0)
    return tmp_path / "cache"


@pytest.fixture
def hub(cache, monkeypatch, tmp_path):
    """A hub that serves a text of ours, and goes wrong in the way that a test gives."""
    draw = random.Random(0)
    lines = [draw.randbytes(50).hex() for _ in range(4_000)]
    folder = write(tmp_path / "served", OWN | {"train": OWN["train"] + lines})
    splits = {split: corpus.read_corpus_split(folder, split) for split in corpus.SPLITS}
    monkeypatch.setattr(corpus, "DIGEST", corpus.corpus_digest(splits))
    serving = partial(Hub, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.handle_error = lambda *request: None  # a client that has hung up
        server.way, server.requests = None, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.address = f"http://127.0.0.1:{server.server_port}"
        ask(monkeypatch, server.address)
        yield server
        server.shutdown()


def one_line(capsys) -> str:
    """What was printed, which has to be one line and nothing else."""
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1 and printed.err == ""
    return printed.out


def test_a_hub_that_answers_is_asked_once_and_its_copy_is_kept(
    hub, monkeypatch, capsys
):
    """However slow it is, and through a proxy, if one is set."""
    hub.way = "slow"
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", hub.address)
    ask(monkeypatch, "http://hub.invalid")
    start, first = time.monotonic(), corpus.load_corpus()
    assert time.monotonic() - start > 2 * corpus.PATIENCE
    assert first.name == corpus.WIKITEXT
    assert first.train[:2] == ["猫 が 好き", "犬 も 好き"] and first.test == ["犬"]
    parts = [path.partition(f"{corpus.REVISION}/") for path in hub.requests]
    assert [name for *_, name in parts] == corpus.FILES
    assert parts[0][0].startswith("http://hub.invalid/datasets/")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert corpus.load_corpus() == first
    place = {"repo_type": "dataset", "revision": corpus.REVISION}
    for file in corpus.FILES:  # where the client finds it, too
        assert huggingface_hub.hf_hub_download(corpus.REPOSITORY, file, **place)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "way, said",
    [
        ("silent", "timed out"),
        ("stall", "timed out"),
        ("cut", "peer closed connection"),
        (404, "404 Not Found"),
        (429, "429 Too Many Requests"),
    ],
)
def test_a_hub_that_fails_costs_the_patience_and_is_named(hub, capsys, way, said):
    hub.way, start = way, time.monotonic()
    assert corpus.load_corpus().name == "toy"
    assert time.monotonic() - start < 30
    assert said in one_line(capsys)


@pytest.mark.parametrize(
    "offline, said", [(False, "refused"), (True, "offline mode is enabled")]
)
def test_without_a_hub_the_reader_is_told_and_a_training_stops(
    offline, said, cache, monkeypatch, capsys
):
    """In full size nothing but the reader's own choice stands in for WikiText-2."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    assert corpus.load_corpus().name == "toy"
    line = one_line(capsys)
    assert line.startswith("WikiText-2 is not within reach (") and said in line
    trainings = corpus.training_corpus, lambda: prepare_experiment(ModelConfig(), 0)
    for load in (*trainings, require_wikitext):
        with pytest.raises(ConnectionError, match=f"{said}.*{VARIABLE}.*'toy'"):
            load()


DAMAGE = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-20]),
    "gone": Path.unlink,
    "another text": lambda file: write(file.parents[1], {"validation": ["犬"]}),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_named_or_fetched_again(
    damage, hub, cache, monkeypatch, capsys
):
    corpus.load_corpus()
    (file,) = cache.rglob("validation-*.parquet")
    damage(file)
    ask(monkeypatch, CLOSED)
    assert corpus.load_corpus().name == "toy"
    line = one_line(capsys)
    assert "refused" in line and str(file.parents[1]) in line
    ask(monkeypatch, hub.address)
    assert corpus.load_corpus().name == corpus.WIKITEXT
    assert capsys.readouterr().out == ""
    shutil.rmtree(cache)
    cache.touch()  # and one that cannot be written is named
    assert corpus.load_corpus().name == "toy"
    assert str(cache) in one_line(capsys)


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """A function that makes a folder with some splits the one that is chosen."""

    def chosen(splits: dict) -> Path:
        monkeypatch.setenv(VARIABLE, str(tmp_path))
        return write(tmp_path, splits)

    return chosen


@pytest.mark.parametrize(
    "splits, said",
    [
        ({"train": ["a"], "test": ["a"]}, r"no text in .*validation-\*\.parquet"),
        (OWN | {"train": b"text\na\n"}, r"train-.*parquet is missing, damaged or"),
        (OWN | {"train": pyarrow.table({"text": [7, 8]})}, "train.*7 is no text"),
        (OWN | {"train": pyarrow.table({"text": [b"a"]})}, "train.*b'a' is no text"),
        (OWN | {"test": pyarrow.table({"line": ["a"]})}, 'test-.*a column "text"'),
        (OWN | {"test": ["", " \t", "\u200b \ufeff", None]}, "no text in .*test"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_folder_without_a_text_is_told_why(choose, splits, said):
    choose(splits)
    for load in corpus.load_corpus, corpus.training_corpus, require_wikitext:
        with pytest.raises(ValueError, match=f"{said}.*{VARIABLE}"):
            load()


def test_a_text_is_named_by_itself_whatever_its_folder(tmp_path):
    """In several files, in other strings, or in another order it is the same."""
    train, (one, two) = ["猫 が 好き", "犬 も 好き"], (["猫"], ["犬"])
    large = pyarrow.array([*train[::-1], None], pyarrow.large_string())
    splits = {
        "[1]": OWN,
        "a*b?": OWN | {"train": pyarrow.table({"text": large.dictionary_encode()})},
        "two": OWN | {"train": train[:1]},
        "{x}": OWN | {"train": ["猫 が 好き", "犬 が 好き"]},
        "~": {"train": two, "validation": one, "test": train},
        "日本": OWN | {"train": ["猫 が 好き 犬 も 好き"]},
    }
    folders = [write(tmp_path / name / "mine", parts) for name, parts in splits.items()]
    second = folders[2] / corpus.FILES[0].replace("00000-of-00001", "00001-of-00002")
    parquet.write_table(pyarrow.table({"text": train[1:]}), second)
    names = [corpus.read_corpus(folder).name for folder in folders]
    assert all(re.fullmatch("text-[0-9a-f]{8}", name) for name in names)
    assert len({*names[:3]}) == 1 and len({*names}) == 4


def test_what_nobody_sees_is_in_no_text_but_wikitext(choose, monkeypatch):
    odd = ["\ufeffThe co\xadop \u200b is", "\u200b \ufeff", "cafe\u200b\u0301"]
    folder = choose(OWN | {"train": odd})
    assert corpus.load_corpus().train == ["The coop is", "café"]
    splits = {split: corpus.read_corpus_split(folder, split) for split in corpus.SPLITS}
    monkeypatch.setattr(corpus, "DIGEST", corpus.corpus_digest(splits))
    kept = corpus.load_corpus()  # its words and ids are those of the weights
    assert kept.name == corpus.WIKITEXT and kept.train == [odd[0], odd[2]]


def test_what_is_chosen_by_name_is_taken_and_studies_refuse_it(
    choose, cache, monkeypatch, capsys
):
    choose(OWN)
    with pytest.raises(ValueError, match="the text at hand is 'text-"):
        require_wikitext()
    monkeypatch.setenv(VARIABLE, "toy")
    assert corpus.load_corpus() == corpus.training_corpus() == corpus.load_corpus("toy")
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match=f"WikiText-2.*'toy'.*{VARIABLE}"):
        require_wikitext()
    with pytest.raises(ValueError, match="no corpus 'wikitext-103'; choose 'toy'"):
        corpus.load_corpus("wikitext-103")


def test_wikitext_is_known_by_its_digest(wikitext):
    splits = {split: [*getattr(wikitext, split)] for split in corpus.SPLITS}
    assert [len(lines) for lines in splits.values()] == [23_767, 2_461, 2_891]
    assert corpus.corpus_digest(splits) == corpus.DIGEST
    for split in corpus.SPLITS:
        changed = [splits[split][0] + "x", *splits[split][1:]]
        assert corpus.corpus_digest(splits | {split: changed}) != corpus.DIGEST


# The toy corpus.


def fits(words, position, word):
    """Whether the rules, written here anew, allow `word` at a position."""
    words = [*words[:position], word, *words[position + 1 :]]
    if words[2] in ("near", "behind"):
        ending = ["are", "they", "are"] if words[1][-1] == "s" else ["is", "it", "is"]
        return [words[5], words[9], words[10]] == ending
    if words[0] in ("After", "Before"):
        pronouns = "her she her" if words[4] in WOMEN else "his he his"
        return [words[6], words[9], words[11]] == pronouns.split()
    if words[0] == "The":
        named = {words[i] for i in (1, 5, 9, 13)}
        return len(named) == 1 and named < {*ANIMALS} and words[17] not in named
    weather, *months = SEASONS.get(words[4], ("",))
    return words[0] == "In" and words[3] == weather and words[1] in months


@pytest.mark.parametrize("name", RULES)
def test_a_ceiling_is_one_over_the_words_that_fit(name):
    sentences = toy_split("test")
    vocabulary = {word for s in sentences for word in s.words}
    shares = []
    for s in sentences:
        for i, rule in enumerate(s.rules):
            if rule == name:
                fitting = [word for word in vocabulary if fits(s.words, i, word)]
                assert s.words[i] in fitting
                shares.append(1 / len(fitting))
    assert len(shares) > 50
    assert sum(shares) / len(shares) == pytest.approx(RULES[name].ceiling)


def test_splits_are_the_same_each_time_and_share_nothing_with_train():
    train = {tuple(s.words) for s in toy_split("train")}
    for split in ("validation", "test"):
        assert toy_split(split) == toy_split(split)
        assert not train & {tuple(s.words) for s in toy_split(split)}
    assert toy_split("validation") != toy_split("test")
    assert all(words[-1] == "." for words in train)
