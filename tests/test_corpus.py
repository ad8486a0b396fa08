"""Where the text comes from, whose it is, and what happens when none can be had.

A hub of our own on this machine serves a text, or goes wrong in one of many ways.
"""

import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from helpers import corpus, hub
from helpers.tokenizer import WordTokenizer

OWN = {"train": ["猫 が 好き", "犬  も\t好き \n"], "validation": ["猫"], "test": ["犬", ""]}


def write(folder: Path, splits: dict) -> Path:
    """A folder in the hub's layout with these splits."""
    for split, rows in splits.items():
        table = rows if isinstance(rows, pyarrow.Table) else pyarrow.table({"text": rows})
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
    folder = write(tmp_path / "served", OWN)
    monkeypatch.setattr(corpus, "DIGEST", corpus.read_corpus(folder).digest)
    started = []

    def start(**ways):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        server.daemon_threads, server.block_on_close = True, False
        server.folder, server.ways, server.asked = folder, ways, []
        Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()
