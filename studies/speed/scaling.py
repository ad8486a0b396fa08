"""What bounds a training step, and how it grows with the text and the vocabulary.

    python -m studies.speed.scaling --ceilings | --growth [--out PATH]

Ceilings: how fast this machine multiplies matrices of the model's shapes and copies
memory, and from these the time that a step would take if it did nothing else and hid
nothing behind anything. Growth: time and peak memory of a step of as many tokens in
longer and longer blocks, with attention written out or fused, or with more words.

Shapes as in helpers.model; a matmul is rows × inner × columns.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.record import write
from helpers.settings import whole
from helpers.tokenizer import SPECIALS
from studies.lab.command import (
    COUNT,
    RECORDS,
    command,
    option,
    require_blocks,
    require_whole,
)
from studies.lab.machine import hardware
from studies.lab.timing import in_fresh_process, peak_of, seconds_of, spread
from studies.speed.peers import our_loss
from studies.speed.steps import MOST_TOKENS, make_batch, step_on

SHORTEST = 16  # tokens of the blocks that warm up a step
LENGTHS = [SHORTEST * 2**i for i in range(8)]  # 16 to 2,048
VOCABULARIES = [2_000 * 2**i for i in range(5)]  # 2,000 to 32,000
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
AFTER_FORWARD = 2  # passes over the same numbers backward for each one forward


def matmuls(config: ModelConfig, blocks: int, masked: int) -> list[dict]:
    """Lists the matmuls of the forward pass: `times` of each, `batch` of them at once.

    The last block's queries, and all that follows, are of the masked positions only.
    """
    tokens, few = blocks * config.max_length, blocks * masked
    d, f, heads, t = config.d_model, config.d_ff, config.n_heads, config.max_length
    full, k = config.n_layers - 1, d // heads
    shapes = [
        ("query, key, value, output", full * 4 + 2, 1, tokens, d, d),
        ("query, output of the last block", 2, 1, few, d, d),
        ("expand", full, 1, tokens, d, f),
        ("contract", full, 1, tokens, f, d),
        ("expand of the last block", 1, 1, few, d, f),
        ("contract of the last block", 1, 1, few, f, d),
        ("scores", full, blocks * heads, t, k, t),
        ("scores of the last block", 1, blocks * heads, masked, k, t),
        ("mixing", full, blocks * heads, t, t, k),
        ("mixing of the last block", 1, blocks * heads, masked, t, k),
        ("head: transform", 1, 1, few, d, d),
        ("head: words", 1, 1, few, d, config.vocab_size),
    ]
    keys = "name", "times", "batch", "rows", "inner", "columns"
    return [dict(zip(keys, shape, strict=True)) for shape in shapes]


def passes(config: ModelConfig, blocks: int, masked: int, size: int) -> float:
    """Counts the bytes that a step's elementwise work must read and write, at least.

    What is read and written forward counts twice more backward. A number has `size`
    bytes between matmuls, and 4 in the residual stream, the softmax's input and the
    optimiser. Dropout, casts and the gathering of embeddings are not counted.
    """
    d, f, v = config.d_model, config.d_ff, config.vocab_size
    total = 0.0
    for layer in range(config.n_layers):
        last = layer == config.n_layers - 1
        all_rows = blocks * config.max_length
        rows = blocks * masked if last else all_rows
        scores = rows * config.n_heads * config.max_length
        total += 4 * d * 2 * (all_rows + rows)  # two norms: read, write
        total += 4 * d * 3 * 2 * rows  # two residuals: read two, write one
        total += size * f * 2 * rows  # GELU
        total += (4 + size) * scores  # softmax
        total += size * d * 2 * 2 * (all_rows + rows)  # heads forth, back, and turned
    few = blocks * masked
    total += 4 * few * (6 * d + 2 * v)  # final norm, head, softmax over words
    n_weights = sum(p.numel() for p in MaskedLanguageModel(config).parameters())
    optimiser = 4 * n_weights * (1 + 2 + 7)  # norm; scale; AdamW's four, three written
    return total * (1 + AFTER_FORWARD) + optimiser


def fastest(work: Callable[[], object], device: str, seconds: float = 0.3) -> float:
    """Returns the shortest time of the work in at least 5 tries and `seconds`."""
    work()
    times = []
    while len(times) < 5 or sum(times) < seconds:
        times.append(seconds_of(work, device))
    return min(times)


def matmul_rate(shape: dict, dtype: torch.dtype, device: str) -> float:
    """Measures FLOP/s of a forward matmul and the two of its backward pass together."""
    lead = (shape["batch"],) if shape["batch"] > 1 else ()
    rows, inner, columns = shape["rows"], shape["inner"], shape["columns"]
    draw = {"dtype": dtype, "device": device}
    x = torch.randn(*lead, rows, inner, **draw)
    w = torch.randn(*lead, columns, inner, **draw)
    g = torch.randn(*lead, rows, columns, **draw)
    seconds = fastest(lambda: (x @ w.mT, g @ w, g.mT @ x), device)
    return 6 * shape["batch"] * rows * inner * columns / seconds


def copy_rate(device: str, n_bytes: int = 2**28) -> float:
    """Measures bytes read and written a second in a copy of what no cache holds."""
    source = torch.ones(n_bytes // 4, device=device)
    target = torch.empty_like(source)
    return 2 * n_bytes / fastest(lambda: target.copy_(source), device)


def our_step(
    config: ModelConfig, tokens: int, device: str, precision="fp32", fused=None
) -> Callable:
    """Returns our step on so many tokens, warmed up on two short blocks."""
    torch.manual_seed(0)
    model = MaskedLanguageModel(config).to(device).train()
    for block in model.blocks:
        block.attention.fused = fused
    batch = make_batch(tokens // config.max_length, config, device)
    step = step_on(batch, model, our_loss, precision)
    step(make_batch(2, replace(config, max_length=SHORTEST), device))
    return step


def ceiling(precision: str, tokens: int, device: str) -> dict:
    """Returns the attainable and the measured time of our step without dropout."""
    config, dtype = ModelConfig(), DTYPES[precision]
    blocks = tokens // config.max_length
    masked = make_batch(blocks, config).at_BM.shape[1]
    table = matmuls(config, blocks, masked)
    for shape in table:
        volume = shape["batch"] * shape["rows"] * shape["inner"] * shape["columns"]
        shape["flop"] = 6 * shape["times"] * volume
        shape["flop_per_second"] = matmul_rate(shape, dtype, device)
    multiplying = sum(shape["flop"] / shape["flop_per_second"] for shape in table)
    moved, rate = passes(config, blocks, masked, dtype.itemsize), copy_rate(device)
    step = our_step(config, tokens, device, precision)
    step()
    measured = statistics.median(seconds_of(step, device) for _ in range(9))
    attainable = multiplying + moved / rate
    return {
        "precision": precision,
        "tokens": tokens,
        "matmuls": table,
        "matmul_ms": 1e3 * multiplying,
        "elementwise_bytes": moved,
        "copy_bytes_per_second": rate,
        "elementwise_ms": 1e3 * moved / rate,
        "attainable_ms": 1e3 * attainable,
        "measured_ms": 1e3 * measured,
        "fraction": attainable / measured,
    }


def ceilings(tokens: int, device: str) -> dict:
    """Measures the ceilings of both number formats."""
    rows = []
    for precision in DTYPES:
        rows.append(ceiling(precision, tokens, device))
        shown = {k: round(v, 2) for k, v in rows[-1].items() if k.endswith("_ms")}
        print(precision, shown, f"fraction {rows[-1]['fraction']:.2f}", flush=True)
    return {"hardware": hardware(), "ceilings": rows}


def peak_at(config: ModelConfig, tokens: int, device: str, fused: bool) -> float | None:
    """Measures the peak memory of a step in MB. Call it in a fresh process."""
    return peak_of(our_step(config, tokens, device, fused=fused), device)


def growth(tokens: int, rounds: int, device: str, lengths, words) -> dict:
    """Measures one step at each length, written out and fused, and each vocabulary.

    The median time and its quartiles are taken after one step that is not timed.
    """
    cases = [({"max_length": n}, fused) for n in lengths for fused in (False, True)]
    cases += [({"vocab_size": n}, device == "cuda") for n in words]
    rows = []
    for changed, fused in cases:
        config = ModelConfig(**changed)
        peak = in_fresh_process(peak_at, config, tokens, device, fused)
        step = our_step(config, tokens, device, fused=fused)
        step()
        times = [1e3 * seconds_of(step, device) for _ in range(rounds)]
        low, middle, high = spread(times)
        rows.append(changed | {"fused": fused, "peak_mb": peak})
        rows[-1] |= {"ms": middle, "ms_quartiles": [low, high]}
        print(rows[-1], flush=True)
    return {"hardware": hardware(), "tokens": tokens, "growth": rows}


def main(arguments: list[str] | None = None) -> None:
    """Measures one of the two and writes its record."""
    parser = command("speed.scaling", __doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--ceilings", action="store_true")
    what.add_argument("--growth", action="store_true")
    parser.add_argument("--out", type=Path, help="default: in plots/records/")
    vocabulary = option(whole(len(SPECIALS) + 1, 10**6))
    length, tokens = option(whole(SHORTEST, 2**16)), option(whole(1, MOST_TOKENS))
    parser.add_argument("--tokens", type=tokens, default=4096, help="a step")
    parser.add_argument("--rounds", type=COUNT, default=3, help="steps timed; growth")
    parser.add_argument("--lengths", type=length, nargs="+", default=LENGTHS)
    parser.add_argument("--words", type=vocabulary, nargs="+", default=VOCABULARIES)
    given = parser.parse_args(arguments)
    lengths = given.lengths if given.growth else ()
    require_blocks(parser, [given.tokens], [ModelConfig().max_length, *lengths])
    name = "ceilings.json" if given.ceilings else "growth.json"
    given.out = given.out or RECORDS / name
    require_whole(parser, given, name, free=("ceilings", "growth"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with parser.one_sentence():
        if given.ceilings:
            found = ceilings(given.tokens, device)
        else:
            sizes = given.lengths, given.words
            found = growth(given.tokens, given.rounds, device, *sizes)
        write(given.out, found)


if __name__ == "__main__":
    main()
