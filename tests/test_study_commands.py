"""A study's command replaces a whole record by a whole one of its kind, or by none."""

import importlib

import pytest

from helpers import record
from studies import plateau
from studies.lab import command


class Reached(BaseException):
    """The work began."""


def reached(*_, **__):
    raise Reached


COMMANDS = {
    "resume": "resume.json",
    "speed.scaling --growth": "growth.json",
    "speed.scaling --ceilings": "ceilings.json",
    "speed.throughput": "throughput.json",
}
PARTS = [
    ("resume", "--kills 1"),
    ("resume", "--seed 7"),
    ("speed.scaling --growth", "--lengths 64 --words 10 --tokens 64 --rounds 1"),
    ("speed.scaling --growth", "--words 2000"),
    ("speed.scaling --growth", "--rounds 1"),
    ("speed.scaling --ceilings", "--tokens 64"),
    ("speed.throughput", "--rounds 1"),
    ("speed.throughput", "--compile"),
    ("speed.throughput", "--no-memory"),
    ("speed.throughput", "--dropouts 0.1"),
    ("speed.throughput", "--tokens 4096"),
]


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Runs a command up to its work; the records are in a folder of their own."""

    def run(line: str):
        name, *options = line.split()
        module = importlib.import_module(f"studies.{name}")
        monkeypatch.setattr(module, "RECORDS", tmp_path)
        for work in ("study", "measure", "ceilings", "growth"):
            if hasattr(module, work):
                monkeypatch.setattr(module, work, reached)
        module.main(options)

    monkeypatch.setattr(command, "RECORDS", tmp_path)
    for name in COMMANDS.values():
        record.write(tmp_path / name, {})
    return run


def refused(start, line: str, capsys) -> str:
    """What a command says that is refused before its work."""
    with pytest.raises(SystemExit) as ended:
        start(line)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1
    return said


@pytest.mark.parametrize("study, options", PARTS)
def test_a_part_does_not_replace_the_whole(study, options, start, tmp_path, capsys):
    said = refused(start, f"{study} {options}", capsys)
    assert options.split()[0] in said or "--tokens" in said
    assert "choose another --out" in said
    whole = tmp_path / "x" / ".." / COMMANDS[study]
    assert "another --out" in refused(start, f"{study} {options} --out {whole}", capsys)
    with pytest.raises(Reached):
        start(f"{study} {options} --out {tmp_path / 'part.json'}")


@pytest.mark.parametrize("study", COMMANDS)
def test_a_whole_record_replaces_its_own_only(study, start, tmp_path, capsys):
    with pytest.raises(Reached):
        start(study)
    record.write(tmp_path / "other.json", {})
    said = refused(start, f"{study} --out {tmp_path / 'other.json'}", capsys)
    assert "other.json" in said and "another record" in said


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_fewer_seeds_replace_no_summary(seeds, monkeypatch, capsys):
    for name in ("require_wikitext", "study"):
        monkeypatch.setattr(plateau, name, reached)
    arguments = ["--seeds", str(seeds)]
    with pytest.raises(Reached):
        plateau.main([*arguments, "--positions", "rotary"])  # which summarises nothing
    if seeds < 3:
        said = refused(lambda _: plateau.main(arguments), "", capsys)
        assert f"--seeds is {seeds}" in said and "from 3" in said
    else:
        with pytest.raises(Reached):
            plateau.main(arguments)


@pytest.mark.parametrize(
    "line, told",
    [
        ("speed.throughput --tokens 127 --out {}", "--tokens is 127; choose a mult"),
        (
            "speed.throughput --tokens 4096 96 --out {}",
            "--tokens is 96; choose a multiple",
        ),
        (
            "speed.scaling --growth --tokens 100 --lengths 64 --out {}",
            "--tokens is 100;",
        ),
        (
            "speed.scaling --growth --tokens 64 --lengths 48 --out {}",
            "a multiple of 48",
        ),
        (
            "speed.scaling --ceilings --tokens 100 --out {}",
            "--tokens is 100; choose a mul",
        ),
        ("speed.scaling --growth --lengths 1000000000", "--lengths: "),
        ("speed.scaling --growth --words 1000000000", "--words: "),
        ("speed.scaling --growth --tokens 1000000000", "--tokens: "),
        ("speed.throughput --tokens 1000000000", "--tokens: "),
        ("dropout --epochs 200000", "--epochs: "),
    ],
)
def test_sizes_that_cannot_be_are_refused(line, told, start, tmp_path, capsys):
    assert told in refused(start, line.format(tmp_path / "part.json"), capsys)
