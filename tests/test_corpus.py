"""Where the text comes from, and what happens when the hub is out of reach."""

import contextlib
import socket
import threading
import time
import urllib.request

import pytest
from huggingface_hub import constants

from helpers import corpus


@contextlib.contextmanager
def server(answer: bytes):
    """A local socket that reads a request and sends `answer`, or nothing if empty."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                seen.append(connection.recv(4_096).decode())
                if answer:
                    connection.sendall(answer)
                    connection.close()
                else:
                    time.sleep(5)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.fixture(autouse=True)
def fresh_network(monkeypatch):
    """No proxy, and none remembered: urllib reads the variables only once."""
    monkeypatch.setattr(urllib.request, "_opener", None)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_hub_that_answers_is_found(monkeypatch):
    with server(OK) as (url, seen):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        assert corpus.hub_answers()
    assert corpus.REVISION in seen[0]


def test_a_hub_that_never_answers_costs_no_more_than_the_patience(monkeypatch):
    monkeypatch.setattr(corpus, "PATIENCE", 0.5)
    with server(b"") as (url, _):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        start = time.perf_counter()
        assert not corpus.hub_answers()
    assert time.perf_counter() - start < 3


def test_a_refused_connection_is_no_answer(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    assert not corpus.hub_answers()


def test_a_proxy_is_asked(monkeypatch):
    with server(OK) as (url, seen):
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
        assert corpus.hub_answers()
    assert "http://hub.invalid" in seen[0]


def test_the_cache_comes_before_the_hub(monkeypatch):
    cached = corpus.Corpus("WikiText-2", ["a"], ["b"], ["c"])
    monkeypatch.delenv(corpus.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(corpus, "read_cached", lambda datasets: cached)
    monkeypatch.setattr(corpus, "hub_answers", lambda: pytest.fail("hub was asked"))
    assert corpus.load_corpus() is cached


def test_without_cache_and_hub_it_is_the_toy_corpus_and_says_so(monkeypatch, capsys):
    monkeypatch.delenv(corpus.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(corpus, "read_cached", lambda datasets: None)
    monkeypatch.setattr(corpus, "hub_answers", lambda: False)
    assert corpus.load_corpus().name == "toy"
    assert capsys.readouterr().out.count("\n") == 1


def test_a_wrong_folder_or_name_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(corpus.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ValueError, match=tmp_path.name):
        corpus.load_corpus()
    with pytest.raises(ValueError, match="no corpus"):
        corpus.load_corpus("wikitext-103")


def test_wikitext_has_its_lines_and_words(wikitext):
    splits = wikitext.train, wikitext.validation, wikitext.test
    assert [len(lines) for lines in splits] == [23_767, 2_461, 2_891]
    assert all(line == " ".join(line.split()) for line in wikitext.validation)
