"""Checks of the whole model: from ids to logits."""

import copy
import math

import torch
from torch.nn import functional as F

from helpers.tokenizer import CLS, PAD, SEP, SPECIALS
from notebooks.grader import grader_check, grader_difference

V, LENGTH, FIRST = 40, 16, len(SPECIALS)


@torch.no_grad()
def model_check_logits(model, ids_BT):
    return model(ids_BT)


def model_evidence(seen, adapters):
    torch.manual_seed(0)
    seen.make, seen.tied = adapters.model, adapters.tied
    seen.model = seen.make(V, LENGTH, 0.0).eval()
    draw = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(FIRST, V, (3, 12), generator=draw)
    ids_BT[:, 0], ids_BT[:, -1] = CLS, SEP
    seen.ids_BT, seen.logits_BTV = ids_BT, model_check_logits(seen.model, ids_BT)


def model_check_other(word) -> int:
    return FIRST + (int(word) - FIRST + 7) % (V - FIRST)


def model_check_influence(seen, place: int, at: int) -> float:
    """How far the logits at a place of row 0 move when the word at another changes."""
    row_BT = seen.ids_BT[:1]
    changed_BT = row_BT.clone()
    changed_BT[0, at] = model_check_other(row_BT[0, at])
    before, after = (model_check_logits(seen.model, x) for x in (row_BT, changed_BT))
    return grader_difference(after[0, place], before[0, place])


def model_check_noise(model, ids_BT) -> float:
    """How far the logits of two passes are apart."""
    one, other = (model_check_logits(model, ids_BT) for _ in range(2))
    return grader_difference(one, other)


@grader_check(
    "there is a logit for each position and word",
    "The result has the shape (B, T, V).",
)
def check_model_shape(seen):
    return seen.logits_BTV.shape == (3, 12, V), f"it is {[*seen.logits_BTV.shape]}"


@grader_check(
    "[PAD] changes nothing",
    "Hide [PAD] from every head in every block. Heads that are split with view alone, "
    "without transpose, let it through as well.",
)
def check_model_padding(seen):
    row_BT = seen.ids_BT[:1]
    padded_BT = F.pad(row_BT, (0, 4), value=PAD)
    padded_BTV = model_check_logits(seen.model, padded_BT)[:, :12]
    moved = grader_difference(padded_BTV, model_check_logits(seen.model, row_BT))
    return moved < 1e-4, f"four [PAD] at the end move a logit by {moved:.3f}"


@grader_check(
    "a row does not depend on the other rows of its batch",
    "Do not average over the batch: BatchNorm does that, LayerNorm does not.",
)
def check_model_rows(seen):
    alone = [model_check_logits(seen.model, row_BT) for row_BT in seen.ids_BT.split(1)]
    moved = grader_difference(torch.cat(alone), seen.logits_BTV)
    return moved < 1e-4, f"alone, a logit is {moved:.3f} different"


@grader_check(
    "it reads the words on the right",
    "A masked model looks both ways, so it must not use a causal mask.",
)
def check_model_right(seen):
    moved = model_check_influence(seen, 4, 7)
    return moved > 1e-6, "a word three places to the right changes nothing"


@grader_check(
    "it reads the words on the left",
    "Every block needs attention over all positions.",
)
def check_model_left(seen):
    moved = model_check_influence(seen, 7, 4)
    return moved > 1e-6, "a word three places to the left changes nothing"


@grader_check(
    "the order of the words matters",
    "Without positions a sentence is a bag of words. Add them to the embedding, or "
    "rotate queries and keys by them.",
)
def check_model_order(seen):
    ids_T = seen.ids_BT[0].clone()
    ids_T[3] = model_check_other(ids_T[2])  # so that two different words change places
    exchanged_T = ids_T.clone()
    exchanged_T[2], exchanged_T[3] = ids_T[3], ids_T[2]
    one_V, other_V = (
        model_check_logits(seen.model, x[None])[0][8] for x in (ids_T, exchanged_T)
    )
    moved = grader_difference(one_V, other_V)
    return moved > 1e-5, "two words that change places change nothing elsewhere"


@grader_check(
    "evaluation is repeatable",
    "Dropout must be off after model.eval(): give F.dropout training=self.training.",
)
def check_model_evaluation(seen):
    moved = model_check_noise(seen.make(V, LENGTH, 0.5).eval(), seen.ids_BT)
    return moved == 0, f"the same ids give logits that differ by {moved:.3f}"


@grader_check(
    "dropout acts in training",
    "Pass the dropout rate on to the blocks.",
)
def check_model_dropout(seen):
    moved = model_check_noise(seen.make(V, LENGTH, 0.5).train(), seen.ids_BT)
    return moved > 0, "with p = 0.5 two passes are equal"


@grader_check(
    "an untrained model knows nothing",
    "Small initial weights (BERT: N(0, 0.02²)) keep the first loss near ln V.",
)
def check_model_initial_loss(seen):
    logits_MV = seen.logits_BTV.flatten(0, 1)
    loss = float(F.cross_entropy(logits_MV, seen.ids_BT.flatten()))
    wanted = math.log(V)
    told = f"the loss is {loss:.2f}, ln V {wanted:.2f}"
    return abs(loss - wanted) < 0.25 * wanted, told


@grader_check(
    "every weight matrix matters",
    "A layer is created but never used, or its result is thrown away.",
)
def check_model_matrices(seen):
    idle = []
    for name, weight in seen.model.named_parameters():
        if weight.dim() < 2:
            continue
        changed = copy.deepcopy(seen.model)
        draw = torch.Generator().manual_seed(0)
        noise = torch.randn(weight.shape, generator=draw)
        changed.get_parameter(name).data += noise
        changed_BTV = model_check_logits(changed, seen.ids_BT)
        if grader_difference(changed_BTV, seen.logits_BTV) < 1e-6:
            idle.append(name)
    return not idle, f"these change nothing: {', '.join(idle[:3])}"


@grader_check(
    "every parameter gets a gradient",
    "Look for a .detach(), .data or torch.no_grad() that cuts the gradient off.",
)
def check_model_gradients(seen):
    model = copy.deepcopy(seen.model)
    model(seen.ids_BT).logsumexp(-1).sum().backward()
    cut = [name for name, w in model.named_parameters() if w.grad is None]
    return not cut, f"none at {', '.join(cut[:3])}"


def model_check_tying(model) -> bool:
    """Whether two names lead to one parameter."""
    names = [*model.named_parameters(remove_duplicate=False)]
    return len(names) > len([*model.parameters()])


@grader_check(
    "embedding and output share their weights",
    "Assign the parameter itself: decoder.weight = embedding.weight. A clone stays "
    "equal only until the first step.",
)
def check_model_tied(seen):
    return model_check_tying(seen.model) or not seen.tied, "no parameter has two names"


@grader_check(
    "a copy of the model still shares them",
    "copy.deepcopy keeps parameters shared, but load_state_dict(assign=True) does not. "
    "Tie them again after it, and after anything that copies weights one by one.",
)
def check_model_tied_copy(seen):
    shared = model_check_tying(copy.deepcopy(seen.model))
    return shared or not seen.tied, "in a deepcopy no parameter has two names"
