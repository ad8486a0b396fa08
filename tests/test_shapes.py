"""Shape names are true: each name that ends in dimensions is measured as code runs.

All sizes differ, so that a name with two letters swapped cannot pass; T and S are equal
in self-attention, but in the last block T can be M: only masked positions look there. A
name that begins with M stands for the positions of all rows.
"""

import functools
import itertools
import re
import sys

import pytest
import torch
from tiny import knowing
from torch import Tensor

from explorer.predict import predict_positions
from helpers import ROOT
from helpers.evaluate import evaluate, unigram
from helpers.layers import attend
from helpers.masking import eligible, mask_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import PAD, SPECIALS
from helpers.train import TrainConfig, TrainingRun, train_step

SIZES = dict(B=2, T=6, S=6, D=12, H=3, K=4, F=7, V=11, N=8, M=5)
SUFFIX = re.compile(r"_([BTSDHKFVNMC]+)$")
FOLDERS = str(ROOT / "helpers"), str(ROOT / "explorer")


def fits(suffix: str, shape: tuple, sizes: dict) -> bool:
    """Whether a shape is what a suffix says. A leading M may be several dimensions."""
    if suffix[0] == "M":
        split = len(shape) - len(suffix) + 1
        rows = torch.Size(shape[:split]).numel()
        if split < 0 or rows not in (sizes["B"] * sizes["M"], sizes["B"] * sizes["T"]):
            return False
        suffix, shape = suffix[1:], shape[split:]
    ways = ({}, {"T": sizes["M"]}, {"M": sizes["T"]})
    return tuple(shape) in [
        tuple((sizes | way)[letter] for letter in suffix) for way in ways
    ]


def audit(run, folders=FOLDERS, **sizes):
    """Runs a function; returns the names measured and those that were untrue.

    A name is a function and a local tensor; it is measured when the function returns.
    """
    measured, untrue = set(), {}

    def watch(frame, event, argument):
        code = frame.f_code
        if event != "return" or not code.co_filename.startswith(folders):
            return
        for name, value in frame.f_locals.items():
            suffix = SUFFIX.search(name)
            if suffix and isinstance(value, Tensor):
                measured.add((code.co_qualname, name))
                if not fits(suffix[1], value.shape, SIZES | sizes):
                    untrue[code.co_qualname, name] = tuple(value.shape)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(before)
    return measured, untrue


def build(positions="rotary", norm="pre", fused=None):
    names = dict(V="vocab_size", T="max_length", N="n_layers", H="n_heads", F="d_ff")
    sizes = {name: SIZES[letter] for letter, name in names.items()}
    choices = {"d_model": SIZES["D"], "positions": positions, "norm": norm}
    model = MaskedLanguageModel(ModelConfig(dropout=0.1, **choices, **sizes))
    for block in model.blocks:
        block.attention.fused = fused
    return model


def some_ids(padding=False):
    """Two rows of five words each: M = 5 where all are masked, another size again."""
    ids_BT = torch.tensor([[2, 7, 8, 9, 10, 6], [5, 6, 7, 8, 9, 3]])
    if padding:
        ids_BT[1, -2:] = PAD
    return ids_BT


def forward(positions, norm):
    """A model in every way in which it can be called."""
    at_BM = eligible(some_ids()).nonzero()[:, 1].view(2, -1)
    for fused, padding in itertools.product((False, True), repeat=2):
        model = build(positions, norm, fused)
        for need_weights in (False, True):
            model(some_ids(padding), need_weights=need_weights)
            model(some_ids(padding), at_BM, need_weights)


def step_and_score():
    """A training step, then the ten words of `some_ids` as one subset."""
    model, config, ids_BT = build(), TrainConfig(mask_rate=1.0), some_ids()
    train_step(TrainingRun(model, config), ids_BT, config, 1)
    subset_BT = mask_subsets(ids_BT, n_subsets=1)
    evaluate(model, ids_BT, subset_BT)
    unigram(torch.arange(len(SPECIALS), SIZES["V"]), ids_BT, subset_BT, SIZES["V"])


def predict():
    """A sentence of four words is six tokens; one a row is masked, so M = 1."""
    found = predict_positions(build().eval(), knowing("abcdef"), "a b c d", [0, 2])
    found[0].attention()
    found[0].attention(None, 1)


KINDS = ("rotary", "pre"), ("learned", "post"), ("sinusoidal", "pre")
RUNS = {" ".join(kind): functools.partial(forward, *kind) for kind in KINDS}
RUNS |= {"step and score": step_and_score, "predict": predict}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_shape_names_are_true(run):
    measured, untrue = audit(run, M=1 if run is predict else SIZES["M"])
    assert untrue == {}
    assert len(measured) >= 30


def test_the_audit_catches_swapped_letters():
    def wrong():
        q_BHTK = torch.zeros(2, 3, 5, 4)
        mixed_BHKT = q_BHTK + 1
        return mixed_BHKT

    measured, untrue = audit(wrong, __file__)
    assert {name for _, name in measured} == {"q_BHTK", "mixed_BHKT"}
    assert [name for _, name in untrue] == ["mixed_BHKT"]
    # Attention of five positions to nine others: here T and S differ.
    q, k = torch.zeros(2, 3, 5, 4), torch.zeros(2, 3, 9, 4)
    measured, untrue = audit(lambda: attend(q, k, k), S=9)
    assert ("attend", "weights_BHTS") in measured and untrue == {}
