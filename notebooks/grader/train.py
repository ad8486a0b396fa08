"""Checks of a training loop, seen from the outside."""

from types import SimpleNamespace

import torch
from torch import nn

from helpers.tokenizer import CLS, MASK, SEP, SPECIALS
from notebooks.grader import grader_check

V, FIRST, STEPS = 24, len(SPECIALS), 60


class TrainWitness(nn.Module):
    """A model small enough to learn by heart, which notes how it is used."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 32)
        self.mix = nn.Conv1d(32, 32, 5, padding=2)
        self.output = nn.Linear(32, V)
        self.inputs, self.modes, self.clean = [], [], []
        # Called before a gradient is added to what a parameter already holds.
        self.output.weight.register_hook(self.note)

    def note(self, gradient):
        held = self.output.weight.grad
        self.clean.append(held is None or not held.any())

    def forward(self, ids_BT):
        self.inputs.append(ids_BT.detach().clone())
        self.modes.append(self.training)
        x_BTD = self.embedding(ids_BT)
        x_BTD = x_BTD + self.mix(x_BTD.mT).mT.relu()
        return self.output(x_BTD)


def train_evidence(seen, adapters):
    draw = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(FIRST, V, (8, 16), generator=draw)
    ids_BT[:, 0], ids_BT[:, -1] = CLS, SEP
    before = ids_BT.clone()

    def run(seed):
        torch.manual_seed(0)
        model = TrainWitness().eval()  # a loop that wants training mode has to say so
        start = {name: w.detach().clone() for name, w in model.named_parameters()}
        losses = [float(x) for x in adapters.train(model, ids_BT, V, STEPS, seed)]
        moved = {n for n, w in model.named_parameters() if not torch.equal(w, start[n])}
        return SimpleNamespace(model=model, losses=losses, moved=moved)

    seen.run, seen.again = run(1), run(1)
    seen.untouched = torch.equal(ids_BT, before)


@grader_check("there is a loss for each step", "Return one number per step.")
def check_train_losses(seen):
    return len(seen.run.losses) == STEPS, f"{len(seen.run.losses)} of {STEPS}"


@grader_check(
    "the loss falls",
    "The order is zero_grad, loss, backward, step. Without step nothing moves; with "
    "far too high a learning rate nothing settles.",
)
def check_train_falls(seen):
    first, last = sum(seen.run.losses[:10]) / 10, sum(seen.run.losses[-10:]) / 10
    return last < 0.8 * first, f"from {first:.2f} to {last:.2f} in {STEPS} steps"


@grader_check(
    "gradients start from zero at each step",
    "Call zero_grad() at every step; otherwise gradients add up from step to step.",
)
def check_train_zeroed(seen):
    dirty = len(seen.run.model.clean) - sum(seen.run.model.clean)
    return dirty == 0 and seen.run.model.clean, f"in {dirty} steps they did not"


@grader_check(
    "all parameters move",
    "Give the optimiser all of model.parameters().",
)
def check_train_parameters(seen):
    names = {name for name, _ in seen.run.model.named_parameters()}
    still = sorted(names - seen.run.moved)
    return not still, f"these did not: {', '.join(still)}"


@grader_check(
    "the model trains in training mode",
    "Call model.train() before the loop, and again after every evaluation.",
)
def check_train_mode(seen):
    quiet = len(seen.run.model.modes) - sum(seen.run.model.modes)
    return quiet == 0, f"{quiet} passes ran in evaluation mode"


@grader_check(
    "words are hidden from the model",
    "Feed the masked inputs, not the ids.",
)
def check_train_masking(seen):
    share = float((torch.cat(seen.run.model.inputs) == MASK).float().mean())
    return share > 0.05, f"{share:.1%} of what the model read was [MASK]"


@grader_check(
    "masks are drawn anew at each step",
    "Mask inside the loop. If masks are drawn only once, the model memorises the gaps.",
)
def check_train_new_masks(seen):
    kinds = {tuple(x.flatten().tolist()) for x in seen.run.model.inputs}
    return len(kinds) > STEPS // 2, f"{len(kinds)} different inputs in {STEPS} steps"


@grader_check(
    "the text is left as it was",
    "Mask a copy of the ids.",
)
def check_train_text(seen):
    return seen.untouched, "after training, the ids are not what they were"


@grader_check(
    "the same seed gives the same losses",
    "Use the seed that is passed in for every draw, of masks and of order.",
)
def check_train_seed(seen):
    pairs = zip(seen.run.losses, seen.again.losses, strict=True)
    apart = max(abs(one - other) for one, other in pairs)
    return apart < 1e-4, f"two runs differ by {apart:.3f}"
