"""How a training step grows with the length of the text and with the vocabulary.

`python -m studies.speed.scaling` measures time and peak memory of a step of as many
tokens in longer and longer blocks, with attention written out or fused, and with more
words. What bounds a step, plots/records/ceilings.json, was measured by an earlier
version of this module (commit 3ecd04e).
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.record import write_record
from studies.lab.command import RECORDS, command, record_file
from studies.lab.machine import hardware
from studies.lab.timing import in_fresh_process, peak_of, seconds_of, spread
from studies.speed.peers import our_loss
from studies.speed.steps import make_batch, step_on

TOKENS, ROUNDS = 4_096, 3  # a step; steps that are timed
SHORTEST = 16  # tokens of the blocks that warm up a step
LENGTHS = [SHORTEST * 2**i for i in range(8)]  # 16 to 2,048
VOCABULARIES = [2_000 * 2**i for i in range(5)]  # 2,000 to 32,000


def our_step(config: ModelConfig, tokens: int, device: str, fused: bool) -> Callable:
    """Returns our step on so many tokens, warmed up on two short blocks."""
    torch.manual_seed(0)
    model = MaskedLanguageModel(config).to(device).train()
    for block in model.blocks:
        block.attention.fused = fused
    batch = make_batch(tokens // config.max_length, config, device)
    step = step_on(batch, model, our_loss, "fp32")
    step(make_batch(2, replace(config, max_length=SHORTEST), device))
    return step


def peak_at(config: ModelConfig, tokens: int, device: str, fused: bool) -> float | None:
    """Measures the peak memory of a step in MB. Call it in a fresh process."""
    return peak_of(our_step(config, tokens, device, fused), device)


def growth(tokens=TOKENS, lengths=LENGTHS, vocabularies=VOCABULARIES) -> dict:
    """Measures one step at each length, written out and fused, and each vocabulary.

    The median time and its quartiles are taken after one step that is not timed.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cases = [({"max_length": n}, fused) for n in lengths for fused in (False, True)]
    cases += [({"vocab_size": n}, device == "cuda") for n in vocabularies]
    rows = []
    for changed, fused in cases:
        case = ModelConfig(**changed), tokens, device, fused
        peak = in_fresh_process(peak_at, *case)
        step = our_step(*case)
        step()
        times = [1e3 * seconds_of(step, device) for _ in range(ROUNDS)]
        low, middle, high = spread(times)
        rows.append(changed | {"fused": fused, "peak_mb": peak})
        rows[-1] |= {"ms": middle, "ms_quartiles": [low, high]}
        print(rows[-1], flush=True)
    return {"hardware": hardware(), "tokens": tokens, "growth": rows}


def main(arguments: list[str] | None = None) -> None:
    """Measures and writes the record."""
    parser = command("speed.scaling", __doc__.splitlines()[0])
    parser.add_argument("--out", type=record_file, default=RECORDS / "growth.json")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        write_record(given.out, growth())


if __name__ == "__main__":
    main()
