"""The command lines: odd options, missing things, and what a run may be called.

A wrong option ends a command with status 2 and one sentence that names the option, the
value and what would do, before anything is loaded; what fails later, with status 1.
"""

import importlib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from helpers import ROOT, parallel
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from studies import dropout, fifty, plateau, train
from studies.lab import runs, study
from studies.lessons.study import STUDY as LESSONS

HUGE = "1" + "0" * 30
ODD = "-1", "0", "nan", "inf", "x", "", HUGE, "1.5", "[1]"
RIGHT = {  # odd values that do make sense, of a training
    "dropout": {"0"},
    "attention_dropout": {"0"},
    "norm_eps": {HUGE, "1.5"},
    "epochs": {"1.5"},
    "learning_rate": {"1.5"},
    "muon_rate": {"1.5"},
    "weight_decay": {"0", "1.5"},
    "warmup": {"0"},
    "cooldown": {"0"},
    "last_mask_rate": {"0"},
    "clip": {HUGE, "1.5"},
    "seed": {"0"},
}
FIELDS = [field for kind in (ModelConfig, TrainConfig) for field in fields(kind)]
REFUSED = [
    (field.name, value)
    for field in FIELDS
    if not isinstance(field.default, bool)
    for value in ODD
    if value not in RIGHT.get(field.name, ())
]


class Reached(BaseException):
    """The work began."""


def reached(*_, **__):
    raise Reached


@pytest.fixture
def no_work(monkeypatch):
    """Whatever loads, trains or measures raises Reached."""
    monkeypatch.setattr(parallel, "start", reached)
    for module in (*map(module_of, STUDIES), runs, study):
        for name in ("require_wikitext", "study", "measure", "growth"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, reached)


def told(main, arguments, capsys) -> tuple[int, str]:
    """The status with which a command ends, and the one sentence that it says."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, said = capsys.readouterr()
    assert out == "" and said.startswith("python -m ") and said.count("\n") == 1
    return ended.value.code, said


def named(*options: str) -> list[str]:
    return ["--name", "odd", *options]


def test_the_table_of_odd_options_is_long_enough():
    assert len(REFUSED) > 150
    assert {name for name, _ in REFUSED} == {f.name for f in FIELDS} - {"tied"}


@pytest.mark.parametrize("name, value", REFUSED)
def test_an_odd_option_of_a_training_is_refused(name, value, no_work, capsys):
    option = "--" + name.replace("_", "-")
    status, said = told(train.main, named(f"{option}={value}"), capsys)
    assert status == 2 and f"{option} is " in said and "; choose " in said
    assert value in said.replace("_", "") or float(value) in map(number, said.split())


def number(word: str) -> float | None:
    try:
        return float(word.rstrip(";"))
    except ValueError:
        return None


@pytest.mark.parametrize(
    "name, value", [(name, value) for name, good in RIGHT.items() for value in good]
)
def test_an_option_at_the_end_of_its_range_is_taken(name, value, no_work):
    with pytest.raises(Reached):
        train.main(named(f"--{name.replace('_', '-')}={value}"))


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
    status, said = told(train.main, named(*options), capsys)
    assert status == 2 and [part for part in mentioned if part not in said] == []


NAMES = ["exp/1", "../x", "/tmp/x", "", ".", "..", ".hidden", "a b", "a\\b", "é", "a\n"]
NAMES += ["a" * 101, "~", "a:b", "nul\0", "vocabulary", "Vocabulary"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_folder_is_refused(name, no_work, capsys):
    status, said = told(train.main, [f"--name={name}"], capsys)
    assert status == 2 and f"--name is {name!r}; choose" in said


def test_names_that_runs_have_are_folders_under_runs():
    for name in ("odd", "all_8_epochs_seed_0", "1e-3", "v1.2", "_", "a" * 100):
        assert train.run_folder(name) == ROOT / "runs" / name
    with pytest.raises(ValueError, match="name is PosixPath|name is WindowsPath"):
        train.run_folder(Path("odd"))


FOLDER = ROOT / "studies"
STUDIES = {  # by the name of its command
    ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__main__")
    for path in FOLDER.rglob("*.py")
    if "\nif __name__ ==" in path.read_text("utf-8")
} - {"train", "pages"}  # tested above; measures nothing
WHOLE = "-1", "nan", "inf", "x", "", HUGE, "1.5"
STUDY = {"--arms": ("x", ""), "--seeds": WHOLE, "--processes": (*WHOLE, "0")}
OPTIONS = {
    "attention.erasure": {},
    "attention.examples": {},
    "attention.knowledge": {},
    "dropout": STUDY | {"--epochs": (*WHOLE, "0", "200000")},
    "fifty": STUDY | {"--recipe": ("x", "")},
    "lessons": STUDY,
    "plateau": STUDY,
    "resume": {"--out": ("", "/", "..")},
    "speed.scaling": {"--out": ("", "/", "..")},
    "speed.speedrun": {"--seed": WHOLE, "--baselines": ("x", "entry")},
    "speed.throughput": {"--out": ("", "/", "..")},
}
NEEDED = {"fifty": ["--trials"]}  # else nothing is asked for
WITHOUT_TEXT = "resume", "speed.scaling", "speed.throughput"
WRONG = [
    (study, option, value)
    for study, options in OPTIONS.items()
    for option, values in options.items()
    for value in values
]


def module_of(name: str):
    """The module of a command; that of a folder is its __main__."""
    place = ".__main__" if (FOLDER / name).is_dir() else ""
    return importlib.import_module(f"studies.{name}{place}")


def main_of(name: str):
    return module_of(name).main


def test_every_command_of_the_studies_is_in_the_table():
    assert OPTIONS.keys() == STUDIES


@pytest.mark.parametrize("name, option, value", WRONG)
def test_an_odd_option_of_a_study_is_refused(name, option, value, no_work, capsys):
    needed = [] if option == "--recipe" else NEEDED.get(name, [])
    status, said = told(main_of(name), [*needed, f"{option}={value}"], capsys)
    assert status == 2 and said.startswith(f"python -m studies.{name}: ")
    assert option in said and (value in said or value in said.replace(",", ""))


@pytest.mark.parametrize(
    "name, options",
    [(name, ["--nonsense"]) for name in OPTIONS]
    + [
        (s, [o])
        for s, options in OPTIONS.items()
        for o in options
        if o != "--baselines"
    ]
    + [
        ("fifty", []),
        ("speed.speedrun", ["--time", "--summary"]),
        ("speed.speedrun", ["--seed", "1", "--baselines"]),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, no_work, capsys):
    status, said = told(main_of(name), options, capsys)
    assert status == 2 and said.startswith(f"python -m studies.{name}: ")


@pytest.mark.parametrize("name", OPTIONS.keys() - {*WITHOUT_TEXT})
def test_a_study_without_its_text_ends_in_one_sentence(name, monkeypatch, capsys):
    def missing():
        raise ValueError("WikiText-2 is not within reach.")

    for module in (module_of(name), runs, study):
        if hasattr(module, "require_wikitext"):
            monkeypatch.setattr(module, "require_wikitext", missing)
    status, said = told(main_of(name), NEEDED.get(name, []), capsys)
    assert status == 1 and "WikiText-2 is not within reach." in said


@pytest.mark.parametrize("name", WITHOUT_TEXT)
def test_a_folder_for_the_record_is_made_before_the_work(name, no_work, tmp_path):
    out = tmp_path / "a" / "b" / "record.json"
    with pytest.raises(Reached):
        main_of(name)([*NEEDED.get(name, []), "--out", str(out)])
    assert [*out.parent.iterdir()] == []


@pytest.mark.parametrize("name", WITHOUT_TEXT)
def test_a_record_that_cannot_be_written_is_no_beginning(
    name, no_work, tmp_path, capsys
):
    (tmp_path / "file").touch()
    for place in ("file/record.json", "a" * 254, "."):
        options = [*NEEDED.get(name, []), "--out", str(tmp_path / place)]
        status, said = told(main_of(name), options, capsys)
        assert status == 2 and repr(str(tmp_path / place)) in said


@pytest.mark.parametrize(
    "one", [dropout.STUDY, fifty.STUDY, plateau.STUDY, LESSONS], ids=lambda s: s.name
)
def test_a_report_without_records_says_what_to_leave_out(one, tmp_path, capsys):
    elsewhere = replace(one, folder=tmp_path / "records")
    status, said = told(elsewhere.main, ["--summary"], capsys)
    assert status == 1 and said.startswith(f"python -m studies.{one.name}: ")
    assert f"no runs in {tmp_path}" in said and "leave out --summary" in said


def test_no_study_advises_to_move_records_away():
    for path in FOLDER.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "move it" not in text and "delete" not in text, path
