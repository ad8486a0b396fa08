"""Which values a setting may have, and how a command says that it has another."""

import json
import math
import pickle
import re
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction

import numpy as np
import pytest

from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.settings import POSITIVE, SHARE, SettingError, require, whole
from studies.lab.command import Parser


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


CONFIGURATIONS = ModelConfig, TrainConfig
BAD = math.nan, math.inf, -math.inf, -1, -0.5, 10**400, "x", "", None, [1], {}, 1j


@pytest.mark.parametrize(
    "kind, name",
    [(kind, field.name) for kind in CONFIGURATIONS for field in fields(kind)],
)
def test_every_field_of_a_configuration_is_checked(kind, name):
    for value in BAD:
        if (name, value) == ("attention_dropout", None):
            continue
        with pytest.raises(SettingError, match=f"^{name} is "):
            kind(**{name: value})
        with pytest.raises(SettingError, match=f"^{name} is "):
            replace(kind(), **{name: value})


@pytest.mark.parametrize(
    "kind, setting",
    [
        (ModelConfig, {"vocab_size": 5}),  # special tokens alone
        (ModelConfig, {"max_length": 2}),  # [CLS], [SEP]
        (ModelConfig, {"n_layers": 0}),
        (ModelConfig, {"n_layers": 2.0}),
        (ModelConfig, {"d_model": True}),
        (ModelConfig, {"dropout": 1}),
        (ModelConfig, {"attention_dropout": 1.0}),
        (ModelConfig, {"norm": "Pre"}),
        (ModelConfig, {"norm_eps": 0}),
        (TrainConfig, {"masks": "Fixed"}),
        (TrainConfig, {"patience": 0}),
        (TrainConfig, {"evaluations": 0}),
        (TrainConfig, {"epochs": 0}),
        (TrainConfig, {"epochs": 1e308}),
        (TrainConfig, {"batch_size": 0}),
        (TrainConfig, {"mask_rate": 0}),
        (TrainConfig, {"mask_rate": 1.01}),
        (TrainConfig, {"mask_rate": 1e-9}),
        (TrainConfig, {"learning_rate": 1e39}),
        (TrainConfig, {"muon_rate": 1e39}),
        (TrainConfig, {"weight_decay": 1e39}),
        (TrainConfig, {"warmup": 2}),
        (TrainConfig, {"cooldown": 1.5}),
        (TrainConfig, {"clip": 0}),
        (TrainConfig, {"optimizer": "sgd"}),
        (TrainConfig, {"precision": "float64"}),
        (TrainConfig, {"seed": 1.5}),
    ],
)
def test_what_cannot_be_honoured_is_refused(kind, setting):
    ((name, value),) = setting.items()
    with pytest.raises(SettingError, match=re.escape(f"{name} is {value!r}; choose")):
        kind(**setting)


@pytest.mark.parametrize(
    "kind, settings",
    [
        (ModelConfig, {"vocab_size": 6, "max_length": 3, "n_layers": 1, "d_ff": 1}),
        (ModelConfig, {"d_model": 1, "n_heads": 1, "positions": "none"}),
        (ModelConfig, {"d_model": 2, "n_heads": 1, "positions": "sinusoidal"}),
        (ModelConfig, {"attention_dropout": 0, "dropout": 0.9}),
        (TrainConfig, {"batch_size": 1, "patience": 1, "evaluations": 1}),
        (TrainConfig, {"warmup": 1, "cooldown": 1, "weight_decay": 0}),
        (TrainConfig, {"mask_rate": 1, "last_mask_rate": 0, "epochs": 3}),
    ],
)
def test_the_ends_of_the_ranges_are_taken(kind, settings):
    assert {**asdict(kind(**settings)), **settings} == asdict(kind(**settings))


def test_numbers_of_other_libraries_are_the_same_settings():
    mine = TrainConfig(seed=3, epochs=2, mask_rate=0.5, clip=0.25)
    theirs = TrainConfig(
        seed=np.int64(3), epochs=np.float32(2), mask_rate=Fraction(1, 2), clip=0.25
    )
    assert theirs == mine and repr(theirs.seed) == "3"
    assert json.loads(json.dumps(asdict(theirs))) == asdict(mine)
    assert ModelConfig(d_model=np.int32(128)) == ModelConfig(d_model=128)
    odd = ModelConfig(d_model=np.int32(128), norm=np.str_("post"), tied=np.False_)
    assert json.loads(json.dumps(asdict(odd)))["tied"] is False


def test_configurations_come_back_from_a_record():
    for config in (ModelConfig(), ModelConfig.bert(n_layers=2), TrainConfig(epochs=8)):
        again = type(config)(**json.loads(json.dumps(asdict(config))))
        assert again == config and hash(again) == hash(config)


@pytest.mark.parametrize(
    "sizes",
    [{"n_layers": 10**9}, {"d_model": 10**6}, {"d_ff": 10**9}, {"vocab_size": 10**8}],
)
def test_a_giant_is_refused_before_it_takes_memory(sizes):
    with pytest.raises(SettingError, match="weights are over a billion"):
        ModelConfig(**sizes)


def test_a_refusal_reaches_another_process():
    error = SettingError("masks", "x", ("fixed", "independent"))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and type(again) is SettingError


def test_ctrl_c_is_told_in_its_own_words_if_it_has_some(capsys):
    with pytest.raises(SystemExit) as ended, Parser(prog="bake").one_sentence():
        raise KeyboardInterrupt("Run the same again to go on.")
    assert ended.value.code == 130
    assert capsys.readouterr().err == "bake: Run the same again to go on.\n"


def test_a_failure_of_many_lines_is_told_in_one(capsys):
    with pytest.raises(SystemExit), Parser(prog="bake").one_sentence():
        raise ValueError("No\n  corpus.")
    assert capsys.readouterr().err == "bake: No corpus.\n"
