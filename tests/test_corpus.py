"""Where the text comes from, whose it is, and what happens when none can be had.

A hub of our own on this machine serves a text, or goes wrong in one of many ways.
"""

import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from helpers import corpus, hub
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from studies.lab import experiment
from studies.lab.experiment import run_experiment

OWN = {
    "train": ["猫 が 好き", "犬  も\t好き \n"],
    "validation": ["猫"],
    "test": ["犬", ""],
}


def write(folder: Path, splits: dict) -> Path:
    """A folder in the hub's layout with these splits."""
    for split, rows in splits.items():
        table = (
            rows if isinstance(rows, pyarrow.Table) else pyarrow.table({"text": rows})
        )
        file = folder / hub.CONFIG / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, file)
    return folder


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for one repository, as well as `ways` lets it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, head_only: bool) -> None:
        ways, name = self.server.ways, self.path.partition(f"/{hub.REVISION}/")[2]
        self.server.asked.append((self.command, self.path))
        if ways.get("silent") or (ways.get("stall") and not head_only):
            time.sleep(20)
        if ways.get("cut") and len(self.server.asked) > 8:
            return self.send_error(404)  # for a client that would ask for ever
        if status := ways.get("status"):
            return self.send_error(status)
        content = (self.server.folder / name).read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", hub.REVISION)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if head_only:
            return None
        for start in range(0, len(content), step := ways.get("step", 2**20)):
            if start and ways.get("stall_at_half") and start >= len(content) / 2:
                time.sleep(20)
            if start and ways.get("cut") and start >= len(content) / 2:
                self.close_connection = True
                return self.connection.shutdown(socket.SHUT_RDWR)
            self.wfile.write(content[start : start + step])
            time.sleep(ways.get("pause", 0))
        return None

    def do_HEAD(self):
        self.reply(True)

    def do_GET(self):
        self.reply(False)


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """An empty cache, no folder chosen, and no proxy."""
    monkeypatch.delenv(corpus.FOLDER_VARIABLE, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def serve(cache, monkeypatch, tmp_path):
    """A function that starts a hub which goes wrong in some way, on a text of ours."""
    draw = random.Random(0)
    lines = [draw.randbytes(50).hex() for _ in range(2_000)]
    folder = write(tmp_path / "served", OWN | {"train": OWN["train"] + lines})
    splits = {split: corpus.read_split(folder, split) for split in hub.SPLITS}
    monkeypatch.setattr(corpus, "DIGEST", corpus.text_digest(splits))
    started = []

    def start(**ways):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        server.daemon_threads, server.block_on_close = True, False
        server.folder, server.ways, server.asked = folder, ways, []
        Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        server.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def names(files: list[str]) -> list[tuple[str, str]]:
    return [(how, file) for file in files for how in ("HEAD", "GET")]


def test_a_hub_that_answers_is_asked_once_and_its_copy_is_kept(serve, capsys):
    served = serve()
    first = corpus.load_corpus()
    assert first.name == corpus.WIKITEXT
    assert first.train[:2] == ["猫 が 好き", "犬 も 好き"] and first.test == ["犬"]
    asked = [
        (how, path.partition(f"/{hub.REVISION}/")[2]) for how, path in served.asked
    ]
    assert asked == names(hub.FILES)
    assert corpus.load_corpus() == first and len(served.asked) == 6
    assert capsys.readouterr().out == ""


def test_an_earlier_download_by_the_hubs_own_client_is_used(serve, monkeypatch):
    served = serve()
    program = f"""
from huggingface_hub import hf_hub_download
for name in {hub.FILES}:
    where = dict(repo_type="dataset", revision={hub.REVISION!r})
    hf_hub_download({hub.REPOSITORY!r}, name, **where)"""
    places = {"HF_ENDPOINT": served.url, "HF_HUB_CACHE": constants.HF_HUB_CACHE}
    environment = os.environ | places
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    asked = len(served.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert corpus.load_corpus().name == corpus.WIKITEXT
    assert len(served.asked) == asked


WRONG = {  # what goes wrong, how the hub does it, and what the sentence says
    "never answers": ({"silent": True}, "nothing has arrived from the hub for 2 s"),
    "stalls after HEAD": ({"stall": True}, "nothing has arrived from the hub for 2 s"),
    "stalls in the file": (
        {"stall_at_half": True, "step": 20_000},
        "nothing has arrived",
    ),
    "cuts off": ({"cut": True, "step": 20_000}, "peer closed connection"),
    "fails": ({"status": 500}, "500 Internal Server Error"),
    "is busy": ({"status": 503}, "503 Service Unavailable"),
    "has no such file": ({"status": 404}, "404 Not Found"),
    "wants another client": ({"status": 429}, "429 Too Many Requests"),
}


def one_line(capsys) -> str:
    """What was printed, which has to be one line."""
    text = capsys.readouterr().out
    assert text.count("\n") == 1 and text.endswith("\n")
    return text


@pytest.mark.parametrize("ways, text", WRONG.values(), ids=WRONG)
def test_a_hub_that_fails_costs_the_patience_and_is_named(
    serve, monkeypatch, capsys, ways, text
):
    serve(**ways)
    monkeypatch.setattr(hub, "PATIENCE", 2.0)
    start = time.monotonic()
    assert corpus.load_corpus().name == "toy"
    assert time.monotonic() - start < 15
    assert text in one_line(capsys)
    with pytest.raises(ValueError, match=f"{text}.*'toy' for"):
        corpus.training_corpus()


@pytest.mark.parametrize(
    "url, text",
    [("http://127.0.0.1:9", "refused"), ("http://hub.invalid", "service not known")],
)
def test_a_hub_out_of_reach_is_told_at_once(cache, monkeypatch, capsys, url, text):
    monkeypatch.setattr(constants, "ENDPOINT", url)
    assert corpus.load_corpus().name == "toy"
    assert text in one_line(capsys)


def test_a_slow_download_goes_on(serve, monkeypatch):
    serve(step=20_000, pause=0.5)
    monkeypatch.setattr(hub, "PATIENCE", 2.0)
    start = time.monotonic()
    assert corpus.load_corpus().name == corpus.WIKITEXT
    assert time.monotonic() - start > 2 * hub.PATIENCE


def test_the_clients_proxy_and_certificates_are_used(serve, monkeypatch, capsys):
    served = serve()
    monkeypatch.setenv("http_proxy", constants.ENDPOINT)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    assert corpus.load_corpus().name == corpus.WIKITEXT
    assert served.asked[0][1].startswith("http://hub.invalid/datasets/")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", constants.HF_HUB_CACHE + "2")
    monkeypatch.setattr(constants, "ENDPOINT", served.url.replace("http:", "https:"))
    assert corpus.load_corpus().name == "toy"
    assert "SSL" in one_line(capsys)


def test_the_variable_that_forbids_the_hub_is_named(serve, monkeypatch, capsys):
    served = serve()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert corpus.load_corpus().name == "toy" and not served.asked
    assert "HF_HUB_OFFLINE" in one_line(capsys)


def test_a_cache_that_cannot_be_written_is_named(serve, tmp_path, monkeypatch, capsys):
    serve()
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    assert corpus.load_corpus().name == "toy"
    text = one_line(capsys)
    assert f"{tmp_path / 'file' / 'hub'} cannot be written" in text
    assert "Not a directory" in text


def test_a_cache_without_room_is_named(serve, capsys):
    resource = pytest.importorskip("resource")
    serve()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        found = corpus.load_corpus()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found.name == "toy"
    assert re.search(r"cache .* cannot be written: .*too large", one_line(capsys))


@pytest.fixture
def cached(serve, cache) -> Path:
    """The validation file in a cache that was filled by a hub, which still answers."""
    serve()
    assert corpus.load_corpus().name == corpus.WIKITEXT
    (file,) = cache.rglob("validation-*.parquet")
    return file


def flip(file: Path, where: slice) -> None:
    content = bytearray(file.read_bytes())
    content[where] = bytes(255 - b for b in content[where])
    file.write_bytes(content)


DAMAGE = {
    "other bytes": lambda file: flip(file, slice(4, 404)),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-20]),
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
    "another text": lambda file: parquet.write_table(
        pyarrow.table({"text": ["犬"]}), file.resolve()
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_fetched_again(cached, damage, capsys):
    damage(cached)
    assert corpus.load_corpus().name == corpus.WIKITEXT
    assert corpus.read_cache().name == corpus.WIKITEXT
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_without_a_hub_is_named(cached, damage, monkeypatch, capsys):
    damage(cached)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert corpus.load_corpus().name == "toy"
    text = one_line(capsys)
    assert "refused" in text and "the copy in the cache is damaged" in text
    assert str(cached.parents[1]) in text


def test_another_text_from_the_hub_is_read_but_not_called_wikitext(serve, monkeypatch):
    serve()
    monkeypatch.setattr(corpus, "DIGEST", "0" * 64)
    assert corpus.load_corpus().name.startswith("text-")
    with pytest.raises(ValueError, match="the text at hand is 'text-"):
        corpus.require_wikitext()


def test_an_interrupt_ends_the_download(serve, monkeypatch):
    serve(stall=True)
    started = []

    class Bar:
        def __init__(self, **options):
            started.append(options)

        def __enter__(self):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

        def __exit__(self, *error):
            pass

    class Child(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Child)
    monkeypatch.setattr(hub, "tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        hub.fetch()
    assert started[0].poll() is not None


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """A function that makes a folder with some splits the one that is chosen."""

    def chosen(splits: dict, name: str = "mine") -> Path:
        folder = write(tmp_path / name, splits)
        monkeypatch.setenv(corpus.FOLDER_VARIABLE, str(folder))
        return folder

    return chosen


LISTS = pyarrow.table({"text": [["a", "b"]]})
BAD = {  # splits of a folder, and what the sentence says
    "missing": ({"train": ["a"], "test": ["a"]}, r"no file .*validation-\*\.parquet"),
    "numbers": (OWN | {"train": pyarrow.table({"text": [7, 8]})}, "train.* has 7 in"),
    "bytes": (OWN | {"train": pyarrow.table({"text": [b"a"]})}, "train.* has b'a' in"),
    "lists": (OWN | {"test": LISTS}, r"test-.*parquet has \['a', 'b'\] in its column"),
    "no column": (OWN | {"test": pyarrow.table({"line": ["a"]})}, 'no column "text"'),
    "no columns": (OWN | {"test": pyarrow.table({})}, 'test.* no column "text"'),
    "no rows": (OWN | {"validation": []}, "no text in .*validation"),
    "no words": (OWN | {"validation": ["", " \t", None]}, "no text in .*validation"),
}


@pytest.mark.parametrize("splits, text", BAD.values(), ids=BAD)
def test_a_folder_without_a_text_is_told_why(choose, splits, text):
    choose(splits)
    for load in corpus.load_corpus, corpus.training_corpus, corpus.require_wikitext:
        with pytest.raises(ValueError, match=text) as refused:
            load()
        assert corpus.FOLDER_VARIABLE in str(refused.value)


def test_a_folder_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(corpus.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"no file .*nowhere.*train-\*\.parquet"):
        corpus.load_corpus()
    with pytest.raises(ValueError, match="no corpus"):
        corpus.load_corpus("wikitext-103")


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"text\na\n"])
def test_a_damaged_file_is_named(choose, damage):
    file = choose(OWN) / hub.FILES[0]
    for content in damage, file.read_bytes()[:-30]:
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"train-00000.*parquet cannot be read \("):
            corpus.load_corpus()


def test_any_flipped_byte_is_refused_or_makes_another_text(choose):
    folder = choose(OWN)
    name, file = corpus.load_corpus().name, folder / hub.FILES[1]
    whole, draw = file.read_bytes(), random.Random(0)
    others = 0
    for _ in range(60):
        content = bytearray(whole)
        content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
        try:
            found = corpus.load_corpus()
            others += found.name != name
            assert (found.name == name) == (found.validation == OWN["validation"])
        except ValueError as refused:
            others += 1
            assert file.name in str(refused) or "no text" in str(refused)
    assert others > 20


@pytest.mark.parametrize("name", ["[1]", "a*b?", "{x}", "k=v", "~", "100 %", "日本"])
def test_a_folder_may_have_any_name(choose, name):
    choose(OWN, f"{name}/mine")
    assert re.fullmatch("text-[0-9a-f]{8}", corpus.load_corpus().name)


@pytest.mark.parametrize(
    "name", ["[1]", "WikiText-2", "toy", "a b\n/", "日本", "x" * 200]
)
def test_another_text_has_another_name_whatever_its_folder(choose, tmp_path, name):
    choose(OWN, name)
    found = corpus.load_corpus().name
    assert found == corpus.read_corpus(write(tmp_path / "moved", OWN)).name
    assert re.fullmatch(r"text-[0-9a-f]{8}", found)


def test_what_nobody_sees_is_in_no_text_but_wikitext(choose, monkeypatch):
    odd = ["\ufeffThe co\xadop \u200b is", "\u200b \ufeff", "cafe\u200b\u0301"]
    folder = choose(OWN | {"train": odd})
    found = corpus.load_corpus()
    assert found.train == ["The coop is", "café"]
    splits = {split: corpus.read_split(folder, split) for split in hub.SPLITS}
    monkeypatch.setattr(corpus, "DIGEST", corpus.text_digest(splits))
    kept = corpus.load_corpus()  # its words and ids are those of the weights
    assert kept.name == corpus.WIKITEXT and kept.train == [odd[0], odd[2]]
    choose(OWN | {"train": odd[1:2]})
    with pytest.raises(ValueError, match="no text in .*train"):
        corpus.load_corpus()


def test_the_name_follows_the_text_alone(choose, tmp_path):
    own = {key: [row for row in rows if row] for key, rows in OWN.items()}
    found = {"first": corpus.read_corpus(choose(OWN)).name}
    swaps = {"train": own["test"], "test": own["train"]}
    for key, splits in {
        "spaces": own | {"train": ["猫 が 好き", " 犬 も 好き"]},
        "order": own | {"train": own["train"][::-1]},
        "word": own | {"train": ["猫 が 好き", "犬 が 好き"]},
        "swapped": own | swaps,
        "merged": own | {"train": ["猫 が 好き 犬 も 好き"]},
        "more": own | {"validation": ["猫", "猫"]},
    }.items():
        found[key] = corpus.read_corpus(write(tmp_path / key / "mine", splits)).name
    assert found["first"] == found["spaces"] == found["order"]
    assert len({*found.values()}) == 5


def test_a_text_in_several_files_and_kinds_of_strings_is_read(choose):
    folder = choose(OWN)
    name = corpus.load_corpus().name
    large = pyarrow.array(["犬 も 好き", None], pyarrow.large_string())
    (folder / hub.FILES[0]).unlink()
    for i, rows in enumerate(([*OWN["train"][:1]], large.dictionary_encode())):
        file = folder / hub.CONFIG / f"train-0000{i}-of-00002.parquet"
        parquet.write_table(pyarrow.table({"text": rows}), file)
    assert corpus.load_corpus().name == name


def test_the_toy_corpus_can_be_chosen(cache, monkeypatch, capsys):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(corpus.FOLDER_VARIABLE, "toy")
    assert corpus.load_corpus() == corpus.training_corpus()
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="WikiText-2.*'toy'.*MINI_TRANSFORMER_DATA"):
        corpus.require_wikitext()


def test_a_study_refuses_any_text_but_its_own(choose, cache, monkeypatch):
    choose(OWN)
    with pytest.raises(ValueError, match="'text-[0-9a-f]{8}'"):
        corpus.require_wikitext()
    monkeypatch.delenv(corpus.FOLDER_VARIABLE)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="refused"):
        corpus.require_wikitext()


def test_a_full_size_run_asks_for_the_readers_decision(
    cache, choose, monkeypatch, tmp_path
):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(experiment, "ROOT", tmp_path)
    tiny = ModelConfig(n_layers=1, d_model=16, n_heads=2, d_ff=16)
    short = TrainConfig(epochs=0.01, batch_size=16, evaluations=1, precision="float32")
    with pytest.raises(ValueError, match="within reach.*MINI_TRANSFORMER_DATA.*'toy'"):
        run_experiment("short", tiny, short)
    assert not (tmp_path / "runs").exists()
    monkeypatch.setenv(corpus.FOLDER_VARIABLE, "toy")
    assert run_experiment("short", tiny, short)["corpus"] == "toy"
    lines = {split: 200 * ["猫 が 好き", "犬 も 好き だ よ"] for split in hub.SPLITS}
    choose(lines)
    found = run_experiment("own", tiny, short)["corpus"]
    assert re.fullmatch("text-[0-9a-f]{8}", found)


def test_wikitext_has_its_lines_words_and_digest(wikitext):
    splits = {split: getattr(wikitext, split) for split in hub.SPLITS}
    assert [len(lines) for lines in splits.values()] == [23_767, 2_461, 2_891]
    assert all(line == " ".join(line.split()) for line in wikitext.validation)
    assert corpus.text_digest(splits) == corpus.DIGEST
    swapped = splits | {"validation": splits["validation"][::-1]}
    assert corpus.text_digest(swapped) != corpus.DIGEST
    # The published files of Merity et al. 2016, by a digest that others computed.
    folder = Path(os.environ.get(corpus.FOLDER_VARIABLE) or "")
    for split, sha1 in PUBLISHED.items() if (folder / hub.CONFIG).exists() else ():
        (file,) = (folder / hub.CONFIG).glob(f"{split}-*.parquet")
        rows = parquet.read_table(file)["text"].to_pylist()
        text = "".join(row or " \n" for row in rows)
        assert hashlib.sha1(text.encode()).hexdigest() == sha1


PUBLISHED = {
    "validation": "0418625c8b4da6e4b5c7a0b9e78d4ae8f7ee5422",
    "test": "c7b8ce0aa086fb34dab808c5c49224211eb2b172",
}


def test_flipped_bytes_make_wikitext_another_text(wikitext, choose, tmp_path):
    splits = {split: [*getattr(wikitext, split)] for split in hub.SPLITS}
    splits["train"][5] += " "
    choose(splits, "whole")
    assert corpus.load_corpus().name == corpus.WIKITEXT
    splits["train"][5] = splits["train"][5].replace("e", "f", 1)
    choose(splits, "changed")
    assert corpus.load_corpus().name != corpus.WIKITEXT
