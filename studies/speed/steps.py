"""Training steps on identical work, ours and the peers', shown to be equal."""

from collections.abc import Callable

import torch
from torch import nn

from helpers.masking import IGNORE, mask_tokens, masked_positions
from helpers.model import ModelConfig
from helpers.tokenizer import CLS, SPECIALS, UNK
from studies.lab.machine import DEVICE
from studies.speed import peers
from studies.speed.peers import Peer, PeerBatch

UNKNOWN, MASK_RATE = 0.26, 0.15  # shares: of [UNK] in the training text, of masks


def speed_step_batch(blocks: int, config: ModelConfig) -> PeerBatch:
    """Makes blocks of random words with as many [UNK] as text has, and masks them."""
    generator = torch.Generator().manual_seed(0)
    shape = blocks, config.max_length
    ids_BT = torch.randint(len(SPECIALS), config.vocab_size, shape, generator=generator)
    ids_BT[torch.rand(shape, generator=generator) < UNKNOWN] = UNK
    ids_BT[:, 0] = CLS
    masked = mask_tokens(ids_BT, config.vocab_size, MASK_RATE, generator, fixed=True)
    tensors = [rows.to(DEVICE) for rows in (*masked, *masked_positions(masked[1]))]
    return PeerBatch(*tensors, count=int((masked[1] != IGNORE).sum()))


def make_step(batch: PeerBatch, model, loss_of, precision: str) -> Callable:
    """Returns the step to be timed: forward, backward, clip and AdamW on this batch."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1, fused=True)
    device = batch.inputs_BT.device.type

    def step(batch: PeerBatch = batch) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def step_contestant(name: str, **sizes) -> tuple[nn.Module, Callable]:
    """Returns the model of that name in training mode, and its loss."""
    if name in peers.OURS:
        ours = peers.build_as_peer(name, **sizes)
        return ours.to(DEVICE).train(), peers.loss_beside_peer
    peer = peers.PEERS[name]
    return peer.build_pair(**sizes)[1].to(DEVICE).train(), peer.loss


def compare_steps(ours, theirs, peer: Peer, batch: PeerBatch) -> dict:
    """Compares loss and gradients in float64; AssertionError if they are unequal."""
    losses = []
    for model, loss_of in ((ours, peers.loss_beside_peer), (theirs, peer.loss)):
        model.to(DEVICE, torch.float64).zero_grad()
        losses.append(loss_of(model, batch))
        losses[-1].backward()
    mine, other = losses
    torch.testing.assert_close(other, mine, rtol=1e-9, atol=0)
    gaps = []
    for name, want, grad in peer.pairs(ours, theirs, lambda p: p.grad):
        # Softmax does not see the same number added to all, so key biases get none.
        assert want.any() or name.endswith("key.bias"), f"{name} has no gradient"
        torch.testing.assert_close(
            grad, want, rtol=1e-7, atol=1e-12, msg=lambda m, name=name: f"{name}: {m}"
        )
        gaps.append((grad - want).abs().max().item())
    return {
        "identical": True,
        "differs": peer.differs,
        "gradients": len(gaps),
        "loss": mine.item(),
        "loss_gap": abs(mine.item() - other.item()) / mine.item(),
        "gradient_gap": max(gaps),
    }
