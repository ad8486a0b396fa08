"""The command lines: odd options, missing things, and what a run may be called.

A wrong option ends a command with status 2 and one sentence that names the option, the
value and what would do, before anything is loaded; what fails later, with status 1.
"""

import importlib
from dataclasses import fields, replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from helpers import ROOT
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from studies import byte_pairs, dropout, fifty, plateau, train
from studies.lab import experiment, study
from studies.lab.study import Measurement
from studies.lessons.study import STUDY as LESSONS
from studies.speed import leads

HUGE = "1" + "0" * 30
FIELDS = [field for kind in (ModelConfig, TrainConfig) for field in fields(kind)]


COMMANDS = {  # of the studies, as `python -m` takes them
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "studies").rglob("*.py")
    if "\nif __name__ ==" in path.read_text("utf-8")
}


class Reached(BaseException):
    """The work began."""


reached = Mock(side_effect=Reached)


@pytest.fixture
def no_work(monkeypatch):
    """Whatever loads, trains or measures raises Reached."""
    monkeypatch.setattr(experiment, "join_experiment_processes", reached)
    for module in (*map(module_of, STUDIES), study):
        for name in ("require_wikitext", "shipped_models"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, reached)


def told(main, arguments, capsys) -> tuple[int, str]:
    """The status with which a command ends, and the one sentence that it says."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, said = capsys.readouterr()
    assert out == "" and said.startswith("python -m ") and said.count("\n") == 1
    return ended.value.code, said


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x", "", "[1]"])
@pytest.mark.parametrize("name", [f.name for f in FIELDS if f.name != "tied"])
def test_an_odd_option_of_a_training_is_refused(name, value, no_work, capsys):
    option = "--" + name.replace("_", "-")
    status, said = told(train.main, ["--name=odd", f"{option}={value}"], capsys)
    assert status == 2 and f"{option} is " in said and "; choose " in said
    assert value in said


def test_options_at_the_ends_of_their_ranges_are_taken(no_work):
    for options in (
        "--dropout=0 --attention-dropout=0 --norm-eps=1.5 --epochs=1.5 --no-tied",
        "--learning-rate=1.5 --weight-decay=0 --warmup=0 --cooldown=0 --seed=0",
        f"--last-mask-rate=0 --clip={HUGE} --positions=none --masks=independent",
    ):
        with pytest.raises(Reached):
            train.main(["--name=odd", *options.split()])


@pytest.mark.parametrize(
    "options, mentioned",
    [
        (["--n-heads", "7"], ["--n-heads is 7", "--d-model is 256", "multiple of 14"]),
        (["--d-model", "100"], ["--d-model is 100", "multiple of 16"]),
        (
            ["--positions=sinusoidal", "--d-model=9", "--n-heads=3"],
            ["--d-model is 9", "multiple of 6"],
        ),
        (["--n-layers", "1000000000"], ["--n-layers is 1000000000", "up to 100"]),
        (["--vocab-size", "900000000"], ["--vocab-size is 900000000", "1,000,000"]),
        (["--warm", "2"], ["--warmup is 2.0", "from 0 up to 1"]),
        (["--masks", "Fixed"], ["--masks is 'Fixed'", "'fixed' or 'independent'"]),
        (["--masks", "two\nlines"], ["--masks is"]),
        (["--tied=1"], ["--tied"]),
        (["--other\noption"], ["--other option"]),
        (["--epochs"], ["--epochs"]),
    ],
)
def test_what_does_not_go_together_is_refused(options, mentioned, no_work, capsys):
    status, said = told(train.main, ["--name=odd", *options], capsys)
    assert status == 2 and [part for part in mentioned if part not in said] == []


NAMES = ["exp/1", "../x", "/tmp/x", "", ".", "..", ".hidden", "a b", "a\\b", "é", "a\n"]
NAMES += ["a" * 101, "~", "a:b", "nul\0", "vocabulary", "Vocabulary"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_folder_is_refused(name, no_work, capsys):
    status, said = told(train.main, [f"--name={name}"], capsys)
    assert status == 2 and f"--name is {name!r}; choose" in said


def test_names_that_runs_have_are_folders_under_runs():
    for name in ("odd", "all_8_epochs_seed_0", "1e-3", "v1.2", "_", "a" * 100):
        assert train.training_folder(name) == ROOT / "runs" / name
    with pytest.raises(ValueError, match="name is PosixPath|name is WindowsPath"):
        train.training_folder(Path("odd"))


STUDIES = {name.removeprefix("studies.") for name in COMMANDS}
STUDIES -= {"train", "pages"}  # tested above; measures nothing
WHOLE = "-1", "nan", "inf", "x", "", HUGE, "1.5"
STUDY = {"--arms": ("x", ""), "--seeds": WHOLE, "--processes": (*WHOLE, "0")}
OPTIONS = {
    "attention.erasure": {},
    "attention.examples": {},
    "attention.knowledge": {},
    "byte_pairs": STUDY,
    "dropout": STUDY,
    "fifty": STUDY,
    "lessons": STUDY,
    "plateau": STUDY,
    "resume": {},
    "speed.leads": STUDY,
    "speed.scaling": {},
    "speed.speedrun": {"--seed": WHOLE, "--baselines": ("x", "entry")},
    "speed.throughput": {},
}
WRONG = [("fifty", ["--trials", "--ship"])]
WRONG += [("fifty", ["--ship", "--arms", "attention"])]
WRONG += [("speed.leads", ["--time", "--summary"])]
WRONG += [("speed.speedrun", ["--time", "--summary"])]
WRONG += [("speed.speedrun", ["--seed", "1", "--baselines"])]
for name, options in OPTIONS.items():
    WRONG += [(name, ["--nonsense"])]
    WRONG += [(name, [option]) for option in options if option != "--baselines"]
    WRONG += [(name, [f"{o}={value}"]) for o in options for value in options[o]]


def module_of(name: str):
    """The module of a command; that of a folder is its __main__."""
    place = ".__main__" if (ROOT / "studies" / name).is_dir() else ""
    return importlib.import_module(f"studies.{name}{place}")


def test_every_command_of_the_studies_is_in_the_table():
    assert OPTIONS.keys() == STUDIES


@pytest.mark.parametrize("name, options", WRONG)
def test_an_odd_option_of_a_study_is_refused(name, options, no_work, capsys):
    status, said = told(module_of(name).main, options, capsys)
    assert status == 2 and said.startswith(f"python -m studies.{name}: ")
    assert len(options) != 1 or all(part in said for part in options[0].split("="))


MEASUREMENTS = {
    name: module_of(name).STUDY
    for name in OPTIONS
    if isinstance(getattr(module_of(name), "STUDY", None), Measurement)
}


@pytest.mark.parametrize("name", OPTIONS.keys() - MEASUREMENTS.keys())
def test_a_study_without_its_text_ends_in_one_sentence(name, monkeypatch, capsys):
    missing = Mock(side_effect=ValueError("WikiText-2 is not within reach."))
    for module in (module_of(name), study):
        if hasattr(module, "require_wikitext"):
            monkeypatch.setattr(module, "require_wikitext", missing)
    options = {"fifty": ["--trials"], "speed.leads": ["--time"]}.get(name, [])
    status, said = told(module_of(name).main, options, capsys)
    assert status == 1 and "WikiText-2 is not within reach." in said


def test_a_measurement_is_made_once_and_shown(tmp_path, capsys):
    made = iter([{"n": 1}])
    tables = {"one": lambda found: f"{found['n']} found", "two": lambda found: "and"}
    measure, path = lambda: next(made), tmp_path / "records" / "record.json"
    one = Measurement("x", "Count.", path, measure, tables)
    status, said = told(one.main, ["--summary"], capsys)
    assert status == 1 and f"{path}" in said
    for options in ([], [], ["--summary"]):
        one.main(options)
        assert capsys.readouterr().out == "1 found\n\nand\n"
    fails = replace(
        one, path=tmp_path / "b", measure=Mock(side_effect=ValueError("no"))
    )
    assert told(fails.main, [], capsys) == (1, "python -m studies.x: no\n")


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_shows_its_record(name):
    found = MEASUREMENTS[name].read()
    assert all(table(found) for table in MEASUREMENTS[name].tables.values())


@pytest.mark.parametrize(
    "one",
    [LESSONS, *(s.STUDY for s in (byte_pairs, dropout, fifty, leads, plateau))],
    ids=lambda s: s.name,
)
def test_a_report_without_records_says_that_there_are_none(one, tmp_path, capsys):
    elsewhere = replace(one, folder=tmp_path / "records")
    status, said = told(elsewhere.main, ["--summary"], capsys)
    assert status == 1 and said.startswith(f"python -m studies.{one.name}: ")
    assert f"no runs in {tmp_path}" in said and "make them first" in said
