"""What each head costs when it is silenced, and where masked words look through it.

Each head is silenced alone, then all of a layer (Michel et al. 2019, section 3.2);
studies.attention.erasure calls this. Shapes: M masked positions; the others as in
helpers.layers. Losses are in nats a word.
"""

import itertools

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from explorer.knockout import knockout_correlation, silence_heads
from helpers.data import TrainingData
from helpers.tokenizer import CLS, MASK, SEP
from studies.attention.references import score_reference
from studies.lab.stats import GROUP, bootstrap

# By offset from the masked position, which is 0.
TARGETS = {offset: f"{offset:+d}" if offset else "self" for offset in range(-3, 4)}


def head_switches(n_layers: int, n_heads: int) -> dict[str, Tensor]:
    """Which heads are silenced, (N, H), by name: each alone, then all of a layer."""
    count = n_layers * n_heads
    each = torch.eye(count, dtype=torch.bool).view(count, n_layers, n_heads)
    places = itertools.product(range(1, n_layers + 1), range(1, n_heads + 1))
    off = {f"layer {n} head {h}": each[i] for i, (n, h) in enumerate(places)}
    layers = each.view(n_layers, n_heads, n_layers, n_heads).any(1)
    return off | {f"layer {n + 1}": layer_NH for n, layer_NH in enumerate(layers)}


@torch.no_grad()
def head_gaze(model, data: TrainingData) -> dict[str, Tensor]:
    """Mean weight that masked positions give to each target, (N, H) each.

    By offset, "+1" is the next token, and by token, [CLS] and [SEP]; a neighbour may be
    such a token, and then counts as both. "peak" is the mean of the largest weight.
    """
    total, count = {}, 0
    at_S = torch.arange(data.validation_BT.shape[1])
    parts = zip(data.validation_BT.split(64), data.subset_BT.split(64), strict=True)
    for ids_BT, subset_BT in parts:
        masked_BT = subset_BT == 0
        first_BM = torch.zeros(len(ids_BT), 1, dtype=torch.long)  # no word is needed
        inputs_BT = ids_BT.masked_fill(masked_BT, MASK)
        _, weights_BNHTS = model(inputs_BT, first_BM, need_weights=True)
        row_M, at_M = masked_BT.nonzero(as_tuple=True)
        weights_MNHS = weights_BNHTS[row_M, :, :, at_M]
        targets = {name: at_S == at_M[:, None] + o for o, name in TARGETS.items()}
        targets |= {"[CLS]": ids_BT[row_M] == CLS, "[SEP]": ids_BT[row_M] == SEP}
        for name, target_MS in targets.items():
            seen_NH = torch.einsum("mnhs,ms->nh", weights_MNHS, target_MS.float())
            total[name] = total.get(name, 0) + seen_NH
        total["peak"] = total.get("peak", 0) + weights_MNHS.amax(-1).sum(0)
        count += len(at_M)
    return {name: sum_NH / count for name, sum_NH in total.items()}


def head_costs(model, data: TrainingData) -> dict:
    """What each head and layer costs when it is silenced, and where each head looks.

    Costs are differences in validation loss to the intact model, paired by group of
    blocks; `peak_and_cost` is the rank correlation of both over all heads.
    """
    config = model.config
    group = ((data.subset_BT == 0).nonzero()[:, 0] // GROUP).numpy()

    def score(model) -> dict:
        return score_reference(model, data.validation_BT, data.subset_BT, [0])

    intact, off = score(model), head_switches(config.n_layers, config.n_heads)
    sums, accuracy = {}, {}
    for name, off_NH in tqdm(off.items(), leave=False, desc="heads, layers"):
        scores = score(silence_heads(model, off_NH[None]))
        sums[name] = np.bincount(group, scores["loss"] - intact["loss"])
        accuracy[name] = float(scores["accuracy"].mean())
    costs = bootstrap(sums, np.bincount(group))
    rows = {name: {"cost": costs[name], "accuracy": accuracy[name]} for name in off}
    looks = {name: x_NH.flatten() for name, x_NH in head_gaze(model, data).items()}
    each = [name for name in rows if "head" in name]
    for i, name in enumerate(each):
        rows[name]["looks"] = {target: x[i].item() for target, x in looks.items()}
    cost = torch.tensor([costs[name]["mean"] for name in each])
    return {
        "words": len(group),
        "groups": int(group.max()) + 1,
        "loss": float(intact["loss"].mean()),
        "accuracy": float(intact["accuracy"].mean()),
        "heads": {name: rows[name] for name in each},
        "layers": {name: rows[name] for name in rows if name not in each},
        "peak_and_cost": knockout_correlation(looks["peak"], cost),
    }
