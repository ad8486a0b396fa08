"""How a training step grows with the length of the text and with the vocabulary.

What bounds a step, plots/records/ceilings.json, was measured by an earlier version of
this module (commit 3ecd04e).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from helpers.model import MaskedLanguageModel, ModelConfig
from studies.lab.machine import DEVICE, hardware, memory_in_fresh_process, peak_memory
from studies.lab.runs import RECORDS
from studies.lab.stats import quartiles
from studies.lab.study import Measurement
from studies.lab.timing import seconds_of
from studies.speed.peers import loss_beside_peer
from studies.speed.steps import make_step, speed_step_batch

TOKENS, ROUNDS = 4_096, 3  # a step; steps that are timed
SHORTEST = 16  # tokens of the blocks that warm up a step
LENGTHS = [SHORTEST * 2**i for i in range(8)]  # 16 to 2,048
VOCABULARIES = [2_000 * 2**i for i in range(5)]  # 2,000 to 32,000
FORMS = "written", "fused"  # of attention
FROM = 64  # where the fit begins: below, short rows cost extra


def scaling_step(config: ModelConfig, tokens: int, fused: bool) -> Callable:
    """Returns our step on so many tokens, warmed up on two short blocks."""
    torch.manual_seed(0)
    model = MaskedLanguageModel(config).to(DEVICE).train()
    for block in model.blocks:
        block.attention.fused = fused
    batch = speed_step_batch(tokens // config.max_length, config)
    step = make_step(batch, model, loss_beside_peer, "fp32")
    step(speed_step_batch(2, replace(config, max_length=SHORTEST)))
    return step


def scaling_peak(config: ModelConfig, tokens: int, fused: bool) -> float | None:
    """Measures the peak memory of a step in MB. Call it in a fresh process."""
    return peak_memory(scaling_step(config, tokens, fused))


def measure_scaling(tokens=TOKENS, lengths=LENGTHS, vocabularies=VOCABULARIES) -> dict:
    """Measures one step at each length, written out and fused, and each vocabulary.

    The median time and its quartiles are taken after one step that is not timed.
    """
    cases = [({"max_length": n}, fused) for n in lengths for fused in (False, True)]
    cases += [({"vocab_size": n}, DEVICE == "cuda") for n in vocabularies]
    rows = []
    for changed, fused in cases:
        case = ModelConfig(**changed), tokens, fused
        peak = memory_in_fresh_process(scaling_peak, *case)
        step = scaling_step(*case)
        step()
        low, middle, high = quartiles([1e3 * seconds_of(step) for _ in range(ROUNDS)])
        rows.append(changed | {"fused": fused, "peak_mb": peak})
        rows[-1] |= {"ms": middle, "ms_quartiles": [low, high]}
        print(rows[-1], flush=True)
    return {"hardware": hardware(), "tokens": tokens, "growth": rows}


def scaling_times(growth: dict, form: str) -> list[dict]:
    """The steps of one form of attention, "written" or "fused", by length."""
    rows = (row for row in growth["growth"] if "max_length" in row)
    return [row for row in rows if row["fused"] == (form == "fused")]


def fit_scaling(growth: dict, form: str) -> dict:
    """Step time against length, as a constant and a part that grows with the length.

    A step has as many tokens at each length, so what is linear in the length of a text
    is constant here, and what is quadratic grows in proportion. Fitted from length 64
    on, by least squares of relative errors. `equal_at` is the length at which the two
    parts are equal; `share_at_64` the growing part's share of a step there.
    """
    rows = [row for row in scaling_times(growth, form) if row["max_length"] >= FROM]
    lengths, times = (np.array([r[k] for r in rows]) for k in ("max_length", "ms"))
    slope, constant = np.polyfit(lengths, times, 1, w=1 / times).tolist()
    fitted = constant + slope * lengths
    return {
        "constant_ms": constant,
        "ms_a_position": slope,
        "equal_at": constant / slope,
        "share_at_64": 64 * slope / (constant + 64 * slope),
        "largest_error": float(abs(fitted / times - 1).max()),
    }


STUDY = Measurement(
    "speed.scaling",
    "Measure how a step grows with the length of the text and with the vocabulary.",
    RECORDS / "growth.json",
    measure_scaling,
)
main = STUDY.main

if __name__ == "__main__":
    main()
