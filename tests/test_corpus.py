"""Where the text comes from, whose it is, and what happens when none can be had.

A hub of our own on this machine serves a text, or goes wrong in one of many ways.
"""

import hashlib
import os
import random
import re
import shutil
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from helpers import corpus, hub
from helpers.model import ModelConfig
from studies.lab.experiment import prepare
from studies.lab.wikitext import require_wikitext

OWN = {
    "train": ["猫 が 好き", "犬  も\t好き \n"],
    "validation": ["猫"],
    "test": ["犬", ""],
}
CLOSED = "http://127.0.0.1:9"  # nobody listens there


def write(folder: Path, splits: dict) -> Path:
    """A folder in the hub's layout with these splits: rows, a table or bytes."""
    for split, rows in splits.items():
        file = folder / hub.CONFIG / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(rows, bytes):
            file.write_bytes(rows)
            continue
        table = pyarrow.table({"text": rows}) if isinstance(rows, list) else rows
        parquet.write_table(table, file)
    return folder


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for one repository, or in the way that the server has.

    A way is a status, or "silent", "stall" or "cut" with the share of a file after
    which it does so, or "slow".
    """

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, head_only: bool) -> None:
        way, share = self.server.way
        self.server.requests.append((self.command, self.path))
        if way == "silent":
            time.sleep(20)
        if isinstance(way, int) or len(self.server.requests) > 12:  # else for ever
            return self.send_error(way if isinstance(way, int) else 404)
        name = self.path.partition(f"/{hub.REVISION}/")[2]
        content = (self.server.folder / name).read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", hub.REVISION)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for start in range(0, 0 if head_only else len(content), 70_000):
            if way == "slow":
                time.sleep(0.7)
            elif way == "stall" and start >= share * len(content):
                time.sleep(20)
            elif way == "cut" and start >= share * len(content):
                self.close_connection = True
                return None
            self.wfile.write(content[start : start + 70_000])
        return None

    def do_HEAD(self):
        self.reply(True)

    def do_GET(self):
        self.reply(False)


def ask(monkeypatch, address: str) -> None:
    """Has the client ask a hub at this address."""
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """An empty cache, no folder chosen, and no proxy."""
    monkeypatch.delenv(corpus.FOLDER_VARIABLE, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    ask(monkeypatch, CLOSED)
    monkeypatch.setattr(hub, "PATIENCE", 2.0)
    return tmp_path / "cache"


@pytest.fixture
def serve(cache, monkeypatch, tmp_path):
    """A function that starts a hub which goes wrong in some way, on a text of ours."""
    draw = random.Random(0)
    lines = [draw.randbytes(50).hex() for _ in range(4_000)]
    folder = write(tmp_path / "served", OWN | {"train": OWN["train"] + lines})
    splits = {split: corpus.read_split(folder, split) for split in hub.SPLITS}
    monkeypatch.setattr(corpus, "DIGEST", corpus.text_digest(splits))
    started = []

    def start(way=None, share=0.0):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        server.daemon_threads, server.block_on_close = True, False
        server.handle_error = lambda *request: None  # a client that has hung up
        server.folder, server.way, server.requests = folder, (way, share), []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        server.address = f"http://127.0.0.1:{server.server_port}"
        ask(monkeypatch, server.address)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def one_line(capsys) -> str:
    """What was printed, which has to be one line and nothing else."""
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1 and printed.err == ""
    return printed.out


def test_a_hub_that_answers_is_asked_once_and_its_copy_is_kept(
    serve, monkeypatch, capsys
):
    server = serve()
    first = corpus.load_corpus()
    assert first.name == corpus.WIKITEXT
    assert first.train[:2] == ["猫 が 好き", "犬 も 好き"] and first.test == ["犬"]
    files = [path.partition(f"{hub.REVISION}/")[2] for _, path in server.requests]
    assert files == [file for file in hub.FILES for _ in ("HEAD", "GET")]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert corpus.load_corpus() == first
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "way, said",
    [
        (("silent",), "nothing has arrived from the hub for 2 s"),
        (("stall", 0.0), "nothing has arrived from the hub for 2 s"),
        (("stall", 0.5), "nothing has arrived from the hub for 2 s"),
        (("cut", 0.5), "nothing has arrived from the hub for 2 s"),  # again and again
        ((404,), "404 Not Found"),
        ((429,), "429 Too Many Requests"),
        ((503,), "503 Service Unavailable"),
    ],
    ids=str,
)
def test_a_hub_that_fails_costs_the_patience_and_is_named(serve, capsys, way, said):
    serve(*way)
    start = time.monotonic()
    assert corpus.load_corpus().name == "toy"
    assert time.monotonic() - start < 8
    assert said in one_line(capsys)


def test_a_slow_download_goes_on(serve):
    serve("slow")
    start = time.monotonic()
    assert corpus.load_corpus().name == corpus.WIKITEXT
    assert time.monotonic() - start > 2 * hub.PATIENCE


def test_a_download_that_nobody_waits_for_ends(serve):
    serve("slow")
    before, ended = threading.enumerate(), threading.Event()

    def press():
        while not ended.wait(1.0):  # a destructor may pass over one press
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        try:
            hub.download()
        finally:
            ended.set()
    for thread in {*threading.enumerate()} - {*before}:
        thread.join(5)
        assert not thread.is_alive() or "fetch" not in thread.name


def test_a_proxy_is_used_and_a_certificate_required(serve, monkeypatch, capsys):
    server = serve()
    ask(monkeypatch, server.address.replace("http:", "https:"))
    assert corpus.load_corpus().name == "toy"
    assert "SSL" in one_line(capsys)
    ask(monkeypatch, "http://hub.invalid")
    assert corpus.load_corpus().name == "toy"
    assert "Name or service not known" in one_line(capsys)
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.setenv("no_proxy", "")
    assert corpus.load_corpus().name == corpus.WIKITEXT
    assert server.requests[-1][1].startswith("http://hub.invalid/datasets/")


@pytest.mark.parametrize(
    "offline, said", [(False, "refused"), (True, "HF_HUB_OFFLINE forbids asking")]
)
def test_without_a_hub_the_reader_is_told_and_a_training_stops(
    offline, said, cache, monkeypatch, capsys
):
    """In full size nothing but the reader's own choice stands in for WikiText-2."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    assert corpus.load_corpus().name == "toy"
    line = one_line(capsys)
    assert line.startswith("WikiText-2 is not within reach (") and said in line
    trainings = corpus.training_corpus, lambda: prepare(ModelConfig(), 0)
    for load in (*trainings, require_wikitext):
        with pytest.raises(
            ConnectionError, match=f"{said}.*MINI_TRANSFORMER_DATA.*'toy'"
        ):
            load()


def test_a_cache_that_cannot_be_written_or_has_no_room_is_named(serve, cache, capsys):
    resource = pytest.importorskip("resource")
    serve()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        assert corpus.load_corpus().name == "toy"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in one_line(capsys)
    shutil.rmtree(cache)
    cache.touch()
    assert corpus.load_corpus().name == "toy"
    assert str(cache) in one_line(capsys)


DAMAGE = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-20]),
    "gone": Path.unlink,
    "another text": lambda file: write(file.parents[1], {"validation": ["犬"]}),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_named_or_fetched_again(
    damage, serve, cache, monkeypatch, capsys
):
    serve()
    corpus.load_corpus()
    (file,) = cache.rglob("validation-*.parquet")
    damage(file)
    with monkeypatch.context() as patch:
        ask(patch, CLOSED)
        assert corpus.load_corpus().name == "toy"
    line = one_line(capsys)
    assert "refused" in line and "the copy in the cache is damaged" in line
    assert str(file.parents[1]) in line
    assert corpus.load_corpus().name == corpus.read_cache().name == corpus.WIKITEXT
    assert capsys.readouterr().out == ""


def test_another_text_from_the_hub_is_not_taken_for_wikitext(
    serve, monkeypatch, capsys
):
    serve()
    monkeypatch.setattr(corpus, "DIGEST", "0" * 64)
    assert corpus.load_corpus().name == "toy"
    assert "is not WikiText-2" in one_line(capsys)


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """A function that makes a folder with some splits the one that is chosen."""

    def chosen(splits: dict, name: str = "mine") -> Path:
        folder = write(tmp_path / name, splits)
        monkeypatch.setenv(corpus.FOLDER_VARIABLE, str(folder))
        return folder

    return chosen


@pytest.mark.parametrize(
    "splits, said",
    [
        ({"train": ["a"], "test": ["a"]}, r"no file .*validation-\*\.parquet"),
        (OWN | {"train": b""}, r"train-.*parquet is missing, damaged or"),
        (OWN | {"train": b"text\na\n"}, r"train-.*parquet is missing, damaged or"),
        (OWN | {"train": pyarrow.table({"text": [7, 8]})}, "train.*7 is no text"),
        (OWN | {"train": pyarrow.table({"text": [b"a"]})}, "train.*b'a' is no text"),
        (
            OWN | {"test": pyarrow.table({"text": [["a"]]})},
            r"test.*\['a'\] is no text",
        ),
        (
            OWN | {"test": pyarrow.table({"line": ["a"]})},
            'test-.*a column "text"',
        ),
        (OWN | {"test": pyarrow.table({})}, 'test-.*a column "text"'),
        (OWN | {"validation": []}, "no text in .*validation"),
        (
            OWN | {"validation": ["", " \t", "\u200b \ufeff", None]},
            "no text in .*valid",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_folder_without_a_text_is_told_why(choose, splits, said):
    choose(splits)
    for load in corpus.load_corpus, corpus.training_corpus, require_wikitext:
        with pytest.raises(ValueError, match=said) as refused:
            load()
        assert corpus.FOLDER_VARIABLE in str(refused.value)


def test_any_flipped_bit_is_refused_or_makes_another_text(choose):
    folder = choose(OWN)
    name, file = corpus.load_corpus().name, folder / hub.FILES[1]
    whole, draw = file.read_bytes(), random.Random(0)
    others = 0
    for _ in range(60):
        content = bytearray(whole)
        content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
        try:
            read = corpus.load_corpus()
            others += read.name != name
            assert (read.name == name) == (read.validation == OWN["validation"])
        except ValueError as refused:
            others += 1
            assert file.name in str(refused) or "no text" in str(refused)
    assert others > 20


def test_a_text_is_named_by_itself_whatever_its_folder(tmp_path):
    own = {split: [row for row in rows if row] for split, rows in OWN.items()}
    same = {
        "[1]": OWN,
        "a*b?": own | {"train": ["猫 が 好き", " 犬 も 好き"]},
        "k=v": own | {"train": own["train"][::-1]},
        "WikiText-2": own,
    }
    others = {
        "{x}": own | {"train": ["猫 が 好き", "犬 が 好き"]},
        "~": own | {"train": own["test"], "test": own["train"]},
        "100 %": own | {"train": ["猫 が 好き 犬 も 好き"]},
        "日本": own | {"validation": ["猫", "猫"]},
    }
    names = {
        name: corpus.read_corpus(write(tmp_path / name / "mine", splits)).name
        for name, splits in (same | others).items()
    }
    assert all(re.fullmatch("text-[0-9a-f]{8}", name) for name in names.values())
    assert len({names[name] for name in same}) == 1
    assert len({*names.values()}) == 1 + len(others)


def test_what_nobody_sees_is_in_no_text_but_wikitext(choose, monkeypatch):
    odd = ["\ufeffThe co\xadop \u200b is", "\u200b \ufeff", "cafe\u200b\u0301"]
    folder = choose(OWN | {"train": odd})
    assert corpus.load_corpus().train == ["The coop is", "café"]
    splits = {split: corpus.read_split(folder, split) for split in hub.SPLITS}
    monkeypatch.setattr(corpus, "DIGEST", corpus.text_digest(splits))
    kept = corpus.load_corpus()  # its words and ids are those of the weights
    assert kept.name == corpus.WIKITEXT and kept.train == [odd[0], odd[2]]


def test_a_text_in_several_files_and_kinds_of_strings_is_read(choose):
    folder = choose(OWN)
    name = corpus.load_corpus().name
    large = pyarrow.array(["犬 も 好き", None], pyarrow.large_string())
    (folder / hub.FILES[0]).unlink()
    for i, rows in enumerate((OWN["train"][:1], large.dictionary_encode())):
        file = folder / hub.CONFIG / f"train-0000{i}-of-00002.parquet"
        parquet.write_table(pyarrow.table({"text": rows}), file)
    assert corpus.load_corpus().name == name


def test_what_is_chosen_by_name_is_taken_and_studies_refuse_it(
    choose, cache, monkeypatch, capsys
):
    choose(OWN)
    with pytest.raises(ValueError, match="the text at hand is 'text-"):
        require_wikitext()
    monkeypatch.setenv(corpus.FOLDER_VARIABLE, "toy")
    assert corpus.load_corpus() == corpus.training_corpus() == corpus.load_corpus("toy")
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="WikiText-2.*'toy'.*MINI_TRANSFORMER_DATA"):
        require_wikitext()
    with pytest.raises(ValueError, match="no corpus 'wikitext-103'; choose 'toy'"):
        corpus.load_corpus("wikitext-103")


# The published files of Merity et al. 2016, by digests that others computed.
PUBLISHED = {
    "validation": "0418625c8b4da6e4b5c7a0b9e78d4ae8f7ee5422",
    "test": "c7b8ce0aa086fb34dab808c5c49224211eb2b172",
}


def test_wikitext_is_known_by_its_digest(wikitext):
    splits = {split: [*getattr(wikitext, split)] for split in hub.SPLITS}
    assert [len(lines) for lines in splits.values()] == [23_767, 2_461, 2_891]
    assert all(line == " ".join(line.split()) for line in wikitext.validation)
    assert corpus.text_digest(splits) == corpus.DIGEST
    for split in hub.SPLITS:
        changed = [splits[split][0] + "x", *splits[split][1:]]
        assert corpus.text_digest(splits | {split: changed}) != corpus.DIGEST
    folder = Path(os.environ.get(corpus.FOLDER_VARIABLE) or "")
    for split, sha1 in PUBLISHED.items() if (folder / hub.CONFIG).exists() else ():
        (file,) = (folder / hub.CONFIG).glob(f"{split}-*.parquet")
        rows = parquet.read_table(file)["text"].to_pylist()
        text = "".join(row or " \n" for row in rows)
        assert hashlib.sha1(text.encode()).hexdigest() == sha1
