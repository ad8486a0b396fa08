"""Which values a setting may have, and how a command says that it has another."""

import math
from dataclasses import dataclass

import pytest

from helpers.settings import POSITIVE, SHARE, Parser, SettingError, require, whole


@pytest.mark.parametrize(
    "values, good, bad",
    [
        (whole(1), (1, 2, 10**9), (0, -1, 1.0, True, "1", None, math.inf)),
        (whole(2, 3), (2, 3), (1, 4)),
        (POSITIVE, (1e-9, 1, 2.5), (0, -1.0, math.nan, math.inf, "1", None, True)),
        (SHARE, (0, 0.5, 1.0), (-1e-9, 1.1, math.nan)),
    ],
)
def test_a_range_holds_its_numbers_and_no_others(values, good, bad):
    assert [value for value in good if value not in values] == []
    assert [value for value in bad if value in values] == []


@dataclass(frozen=True)
class Oven:
    degrees: float = 180.0
    mode: str = "fan"
    light: bool = True

    def __post_init__(self):
        require(self, degrees=POSITIVE, mode=("fan", "grill"), light=(True, False))


def test_a_setting_is_refused_by_name_with_what_would_do():
    with pytest.raises(SettingError, match=r"^degrees is -1; choose a number above 0"):
        Oven(degrees=-1)
    with pytest.raises(ValueError, match=r"^mode is 'Fan'; choose 'fan' or 'grill'\.$"):
        Oven(mode="Fan")


@pytest.mark.parametrize(
    "options, told",
    [
        (["--degrees", "nan"], "--degrees is nan; choose a number above 0."),
        (["--mode", "x"], "--mode is 'x'; choose 'fan' or 'grill'."),
        (["--degrees", "hot"], "--degrees"),
        (["--trays", "0"], "argument --trays: '0' is not a whole number from 1"),
        (["--trays", "1.5"], "argument --trays: '1.5' is not a whole number from 1"),
        (["--other"], "--other"),
    ],
)
def test_a_wrong_option_ends_a_command_with_2_and_one_sentence(options, told, capsys):
    parser = Parser(prog="bake")
    parser.add_configurations(Oven)
    parser.add_argument("--trays", type=whole(1), default=1)
    with pytest.raises(SystemExit) as ended:
        parser.build(Oven, parser.parse_args(options))
    said = capsys.readouterr().err
    assert ended.value.code == 2 and told in said
    assert said.count("\n") == 1 and said.startswith("bake: ")


def test_right_options_make_a_configuration():
    parser = Parser(prog="bake")
    parser.add_configurations(Oven)
    given = parser.parse_args(["--degrees", "90", "--no-light"])
    assert parser.build(Oven, given) == Oven(90.0, light=False)


@pytest.mark.parametrize(
    "error, status, told",
    [
        (ValueError("No corpus."), 1, "bake: No corpus.\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "bake: [Errno 2] No such"),
        (MemoryError("Too large."), 1, "bake: Too large.\n"),
        (KeyboardInterrupt(), 130, "bake: interrupted.\n"),
    ],
)
def test_a_failure_is_one_sentence(error, status, told, capsys):
    with pytest.raises(SystemExit) as ended, Parser(prog="bake").one_sentence():
        raise error
    assert ended.value.code == status
    assert capsys.readouterr().err.startswith(told)


def test_what_is_no_failure_of_the_work_keeps_its_traceback():
    with pytest.raises(AttributeError), Parser(prog="bake").one_sentence():
        raise AttributeError
