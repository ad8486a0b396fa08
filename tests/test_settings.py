"""Which values a setting may have, and how a command says that it has another."""

import json
import math
import pickle
import re
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.settings import POSITIVE, SettingError, require_settings
from studies.lab.command import COUNT, Parser


@dataclass(frozen=True)
class Oven:
    degrees: float = 180.0
    mode: str = "fan"
    light: bool = True

    def __post_init__(self):
        allowed = {"mode": ("fan", "grill"), "light": (True, False)}
        require_settings(self, degrees=POSITIVE, **allowed)


def test_a_setting_is_refused_by_name_with_what_would_do():
    with pytest.raises(SettingError, match=r"^degrees is -1; choose a number above 0"):
        Oven(degrees=-1)
    with pytest.raises(ValueError, match=r"^mode is 'Fan'; choose 'fan' or 'grill'\.$"):
        Oven(mode="Fan")
    error = SettingError("mode", "Fan", ("fan", "grill"))
    again = pickle.loads(pickle.dumps(error))  # on its way from another process
    assert str(again) == str(error) and type(again) is SettingError


@pytest.fixture
def parser():
    parser = Parser(prog="bake")
    parser.add_configurations(Oven)
    parser.add_argument("--trays", type=COUNT, default=1)
    return parser


def test_right_options_make_a_configuration(parser):
    given = parser.parse_args(["--degrees", "90", "--no-light", "--trays", "2"])
    assert parser.build(Oven, given) == Oven(90.0, light=False) and given.trays == 2


@pytest.mark.parametrize(
    "error, status, told",
    [
        (ValueError("No\n  corpus."), 1, "bake: No corpus.\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "bake: [Errno 2] No such"),
        (KeyboardInterrupt(), 130, "bake: interrupted.\n"),
        (KeyboardInterrupt("Run it again."), 130, "bake: Run it again.\n"),
        (AttributeError(), None, ""),  # no failure of the work: it keeps its traceback
    ],
)
def test_a_failure_is_one_sentence(error, status, told, parser, capsys):
    kind = SystemExit if status else type(error)
    with pytest.raises(kind) as ended, parser.one_sentence():
        raise error
    assert getattr(ended.value, "code", None) == status
    assert capsys.readouterr().err.startswith(told)


BAD = math.nan, math.inf, -math.inf, -1, -0.5, 10**400, "x", "", None, [1], {}, 1j
ENDS = {  # of the ranges: values that are taken, and values that are not
    ModelConfig: {
        "vocab_size": ([6], [5, 10**8]),  # special tokens alone, and a giant
        "max_length": ([3], [2, 10**7]),  # [CLS], [SEP]
        "n_layers": ([1], [0, 2.0, 10**9]),
        "d_model": ([16], [True, 10**6]),
        "n_heads": ([1], [0]),
        "d_ff": ([1], [0, 10**9]),
        "dropout": ([0, 0.9], [1]),
        "attention_dropout": ([None, 0, 0.9], [1.0]),
        "positions": (["none", "sinusoidal"], ["Rotary"]),
        "norm": (["post"], ["Pre"]),
        "norm_eps": ([1e-12], [0]),
        "tied": ([False], []),
    },
    TrainConfig: {
        "masks": (["independent"], ["Fixed"]),
        "optimizer": (["muon"], ["sgd"]),
        "precision": (["float32"], ["float64"]),
        "epochs": ([3], [0, 1e308]),
        "mask_rate": ([1], [0, 1.01, 1e-9]),
        "last_mask_rate": ([0], [1.01]),
        "weight_decay": ([0], [1e39]),
        "clip": ([1e-9], [0]),
        "seed": ([0], [1.5]),
    }
    | dict.fromkeys(("patience", "evaluations", "batch_size"), ([1], [0]))
    | dict.fromkeys(("learning_rate", "muon_rate"), ([1e-9], [1e39]))
    | dict.fromkeys(("warmup", "cooldown"), ([0, 1], [1.5])),
}


@pytest.mark.parametrize(
    "kind, name", [(kind, field.name) for kind in ENDS for field in fields(kind)]
)
def test_every_field_of_a_configuration_is_checked(kind, name):
    taken, refused = ENDS[kind][name]
    for value in taken:
        assert asdict(kind(**{name: value})) == asdict(kind()) | {name: value}
    for value in (*BAD, *refused):
        if value in taken and value is None:
            continue
        for make in kind, partial(replace, kind()):
            told = f"^{name} is {re.escape(repr(value))}; choose"
            with pytest.raises(SettingError, match=told):
                make(**{name: value})


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
