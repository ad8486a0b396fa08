"""Shape names are true: each name that ends in dimensions is measured as code runs.

All sizes differ, so that a name with two letters swapped cannot pass; T and S are equal
in self-attention, as everywhere in the series. A name that begins with M stands for
positions in a row: those selected, or all.
"""

import functools
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import helpers
from helpers.evaluate import TrainingData, evaluate, unigram
from helpers.layers import attend
from helpers.masking import eligible, evaluation_subsets, mask_tokens, mlm_loss
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import make_optimizers
from helpers.predict import predict_positions
from helpers.tokenizer import PAD, SPECIALS, WordTokenizer
from helpers.train import TrainConfig, seeded, train_step

SIZES = dict(B=2, T=5, S=5, D=12, H=3, K=4, F=7, V=11, N=6, M=8)
SUFFIX = re.compile(r"_([BTSDHKFVNMC]+)$")
POSITIONS = ["rotary", "learned", "sinusoidal", "none"]
PACKAGE = str(Path(helpers.__file__).parent)


def fits(suffix: str, shape: tuple, sizes: dict) -> bool:
    """Whether a shape is what a suffix says. M may stand for several dimensions."""
    if suffix[0] == "M":
        split = len(shape) - len(suffix) + 1
        rows = torch.Size(shape[:split]).numel()
        if split < 0 or rows not in (sizes["M"], sizes["B"] * sizes["T"]):
            return False
        suffix, shape = suffix[1:], shape[split:]
    return tuple(sizes[letter] for letter in suffix) == tuple(shape)


def audit(run, folder: str = PACKAGE, **sizes):
    """Runs a function; returns the names measured and those that were untrue.

    A name is a function and a local tensor; it is measured when the function returns.
    """
    sizes = SIZES | sizes
    measured, untrue = set(), {}

    def watch(frame, event, argument):
        code = frame.f_code
        if event != "return" or not code.co_filename.startswith(folder):
            return
        for name, value in frame.f_locals.items():
            found = SUFFIX.search(name)
            if found and isinstance(value, Tensor):
                measured.add((code.co_qualname, name))
                if not fits(found[1], value.shape, sizes):
                    untrue[code.co_qualname, name] = tuple(value.shape)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(before)
    return measured, untrue


def build(positions="rotary", norm="pre", fused=None):
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=SIZES["V"],
        max_length=SIZES["T"],
        n_layers=SIZES["N"],
        d_model=SIZES["D"],
        n_heads=SIZES["H"],
        d_ff=SIZES["F"],
        dropout=0.1,
        positions=positions,
        norm=norm,
    )
    model = MaskedLanguageModel(config)
    for block in model.blocks:
        block.attention.fused = fused
    return model


def some_ids(padding=False):
    """Two rows with eight words: M = 8 where all are selected, another size again."""
    ids_BT = torch.tensor([[2, 7, 8, 9, 10], [5, 6, 7, 8, 3]])
    if padding:
        ids_BT[1, -2:] = PAD
    return ids_BT


def prepared():
    """What is scored: the eight words of `some_ids` are subset 0."""
    ids_BT = some_ids()
    subset_BT = evaluation_subsets(ids_BT, n_subsets=1)
    stream = torch.arange(len(SPECIALS), SIZES["V"]).repeat(4)
    return TrainingData(stream, ids_BT, subset_BT, ids_BT, subset_BT)


def forward(positions, norm):
    """A model in every way in which it can be called."""
    selected_BT = eligible(some_ids())
    for fused in (False, True):
        model = build(positions, norm, fused)
        for padding in (False, True):
            model(some_ids(padding))
            model(some_ids(padding), selected_BT, need_weights=True)
            model(some_ids(padding), need_weights=True)


def mask():
    ids_BT = some_ids()
    inputs_BT, labels_BT = mask_tokens(ids_BT, SIZES["V"], 1.0, seeded(0))
    chosen_BT = labels_BT >= 0
    logits_BTV = build()(inputs_BT)
    mlm_loss(logits_BTV, labels_BT)
    mlm_loss(logits_BTV[chosen_BT], labels_BT[chosen_BT])
    evaluation_subsets(ids_BT, n_subsets=2)


def score():
    data = prepared()
    evaluate(build(), data.validation_BT, data.subset_BT)
    unigram(data.stream, data.validation_BT, data.subset_BT, SIZES["V"])


def predict():
    """A sentence of three words is five tokens; two are hidden in turn, so M = B."""
    tokenizer = WordTokenizer([*SPECIALS, *"abcdef"])
    found = predict_positions(build().eval(), tokenizer, "a b c", [0, 2])
    found[0].attention()
    found[0].attention(None, 1)


def one_step():
    model, config = build(), TrainConfig(mask_rate=1.0)
    scaler = torch.amp.GradScaler(enabled=False)
    optimizers = make_optimizers(model, config)
    train_step(model, some_ids(), optimizers, scaler, torch.float32, config, 0)


RUNS = {
    f"{positions} {norm}": functools.partial(forward, positions, norm)
    for positions in POSITIONS
    for norm in ("pre", "post")
}
RUNS |= {"mask": mask, "score": score, "predict": predict, "one step": one_step}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_shape_names_are_true(run):
    measured, untrue = audit(run, M=2 if run is predict else SIZES["M"])
    assert measured
    assert untrue == {}


def test_many_names_are_measured():
    names = set().union(*(audit(run)[0] for run in RUNS.values()))
    print(f"{len(names)} shape names measured")
    assert len(names) >= 60


@pytest.mark.parametrize(
    "suffix, shape, true",
    [
        ("BTD", (2, 5, 12), True),
        ("BDT", (2, 5, 12), False),
        ("BT", (2, 5, 12), False),
        ("MD", (3, 12), True),
        ("MD", (2, 5, 12), True),
        ("MD", (2, 12), False),
        ("MD", (12,), False),
        ("M", (2, 5), True),
        ("M", (4,), False),
    ],
)
def test_a_suffix_fits_its_shape_only(suffix, shape, true):
    assert fits(suffix, shape, SIZES | {"M": 3}) == true


def test_the_audit_catches_swapped_letters():
    def wrong():
        q_BHTK = torch.zeros(2, 3, 5, 4)
        mixed_BHKT = q_BHTK + 1
        return mixed_BHKT

    measured, untrue = audit(wrong, folder=__file__)
    assert {name for _, name in measured} == {"q_BHTK", "mixed_BHKT"}
    assert [name for _, name in untrue] == ["mixed_BHKT"]


def test_t_and_s_are_not_the_same_letter():
    """Attention of five positions to nine others: here T and S differ."""
    q, k = torch.zeros(2, 3, 5, 4), torch.zeros(2, 3, 9, 4)
    measured, untrue = audit(lambda: attend(q, k, k), S=9)
    assert ("attend", "weights_BHTS") in measured
    assert untrue == {}
