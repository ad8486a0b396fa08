"""The set-up cell: a notebook alone finds its project, fetches it, or says why not."""

import subprocess
from pathlib import Path

import pytest
from program import python

from helpers import ROOT, __version__
from notebooks.listings import SETUP


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The address of a local clone of what is committed, in place of that on GitHub."""
    if not (ROOT / ".git").exists():
        pytest.skip("this copy of the project is no git checkout")
    folder = tmp_path_factory.mktemp("published") / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder.as_uri()


def set_up(folder: Path, source: str = SETUP, **variables):
    """Runs a set-up cell in a folder, in a process of its own."""
    return python("-c", source, folder=folder, **variables)


def test_the_project_is_fetched_and_comes_first(published, tmp_path):
    """Though half a clone lies there, and the registry has a package of that name."""
    for folder in ("mini-transformer.part/helpers", "site/helpers"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mini-transformer.part/helpers/bpe.py").touch()
    (tmp_path / "site/helpers/__init__.py").touch()
    twice = f"{SETUP}\nprint(sys.path)\n{SETUP}\nprint(sys.path)\nprint(helpers.ROOT)"
    site = {"PYTHONPATH": str(tmp_path / "site")}
    done = set_up(tmp_path, twice, MINI_TRANSFORMER_REPO=published, **site)
    assert done.stderr == ""
    once, again, root = done.stdout.splitlines()
    assert once == again and root == str(tmp_path / "mini-transformer")
    assert {path.name for path in tmp_path.iterdir()} - {"site"} == {"mini-transformer"}


def test_versions_that_differ_are_told_in_one_sentence(tmp_path):
    done = set_up(ROOT, SETUP.replace(f'"{__version__}"', '"0.0.9"'))
    assert done.stdout == f"This notebook is 0.0.9, the project {__version__}.\n"
    (tmp_path / "helpers").mkdir()
    for name in ("__init__", "bpe"):  # of another project
        (tmp_path / "helpers" / f"{name}.py").touch()
    told = f"This notebook is {__version__}, the project {tmp_path} has none.\n"
    assert set_up(tmp_path).stdout == told


def program(folder: Path, script: str) -> str:
    """Puts a program called git into a folder, and returns the folder."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    (folder / "git").chmod(0o755)
    return str(folder)


# As the parent of the reader's own folder may not be looked into.
UNREADABLE = """\
import os
stat = os.stat
def refuse(path, *arguments, **options):
    if str(path).endswith("here/helpers/bpe.py"):
        raise PermissionError(13, "Permission denied", str(path))
    return stat(path, *arguments, **options)
os.stat = refuse
"""


@pytest.mark.parametrize(
    "occupied, git, told",
    [
        ("", "echo Read-only file system >&2; exit 128", "(Read-only file system)"),
        ("", None, "No such file or directory: 'git'"),
        ("", 'for last; do :; done; /bin/mkdir "$last"', "(it is another project)"),
        ("folder", "", "mini-transformer is something else; rename it"),
        ("file", "", "mini-transformer is something else; rename it"),
    ],
)
def test_a_project_that_cannot_be_fetched_is_told_with_its_cause(
    occupied, git, told, tmp_path
):
    here = tmp_path / "here"
    (here / "mini-transformer" if occupied == "folder" else here).mkdir(parents=True)
    if occupied == "file":
        (here / "mini-transformer").write_text("mine", "utf-8")
    names = sorted(here.rglob("*"))
    path = str(tmp_path) if git is None else program(tmp_path / "bin", git)
    done = set_up(here, UNREADABLE + SETUP, PATH=path)
    said = done.stderr.splitlines()[-1]
    assert said.startswith("RuntimeError: Could not fetch https://") and told in said
    assert said.endswith("This takes git, a connection and a writable folder.")
    assert done.stderr.count("Traceback") == 1  # a short one
    assert sorted(here.rglob("*")) == names
