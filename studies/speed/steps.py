"""Training steps on identical work, ours and the peers', shown to be equal."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from helpers.masking import IGNORE, mask_tokens, masked_positions
from helpers.model import ModelConfig
from helpers.tokenizer import CLS, SPECIALS, UNK
from studies.speed.peers import OURS, PEERS, Batch, Peer, build_ours, our_loss

UNKNOWN, MASK_RATE = 0.26, 0.15  # shares: of [UNK] in the training text, of masks


def make_batch(blocks: int, config: ModelConfig, device="cpu") -> Batch:
    """Makes blocks of random words with as many [UNK] as text has, and masks them."""
    generator = torch.Generator().manual_seed(0)
    shape = blocks, config.max_length
    ids_BT = torch.randint(len(SPECIALS), config.vocab_size, shape, generator=generator)
    ids_BT[torch.rand(shape, generator=generator) < UNKNOWN] = UNK
    ids_BT[:, 0] = CLS
    masked = mask_tokens(ids_BT, config.vocab_size, MASK_RATE, generator, fixed=True)
    tensors = [rows.to(device) for rows in (*masked, *masked_positions(masked[1]))]
    return Batch(*tensors, count=int((masked[1] != IGNORE).sum()))


def step_on(batch: Batch, model, loss_of, precision: str) -> Callable:
    """Returns the step to be timed: forward, backward, clip and AdamW on this batch."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1, fused=True)
    device = batch.inputs_BT.device.type

    def step(batch: Batch = batch) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def pairs(ours, theirs, peer: Peer, of=lambda p: p.data) -> Iterator[tuple]:
    """Yields the name of each parameter, and what `of` takes from ours and theirs."""
    names = {parameter: name for name, parameter in ours.named_parameters()}
    own = {n: m for n, m in ours.named_modules() if [*m.parameters(recurse=False)]}
    others = peer.modules(theirs, [*own])
    for module, other in zip(own.values(), others, strict=True):
        place, third = other if isinstance(other, tuple) else (other, None)
        there = place.parameters(recurse=False)
        for mine, whole in zip(module.parameters(), there, strict=True):
            part = of(whole) if third is None else of(whole).chunk(3)[third]
            if mine in names:  # the output layer shares the word vectors
                yield names.pop(mine), of(mine), part


def copy_weights(ours: nn.Module, theirs: nn.Module, peer: Peer) -> None:
    """Copies our weights into theirs; AssertionError if theirs has any others."""
    for _, mine, other in pairs(ours, theirs, peer):
        other.copy_(mine)
    trained = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert trained == sum(p.numel() for p in ours.parameters()), "not all was copied"


def build_pair(peer: Peer, **sizes) -> tuple[nn.Module, nn.Module]:
    """Builds ours and theirs with the same weights."""
    ours = build_ours(peer.beside, **sizes)
    theirs = peer.build(ours.config)
    copy_weights(ours, theirs, peer)
    return ours, theirs


def contestant(name: str, device: str, **sizes) -> tuple[nn.Module, Callable]:
    """Returns the model of that name in training mode, and its loss."""
    if name in OURS:
        return build_ours(name, **sizes).to(device).train(), our_loss
    peer = PEERS[name]
    return build_pair(peer, **sizes)[1].to(device).train(), peer.loss


def compare(ours: nn.Module, theirs: nn.Module, peer: Peer, batch: Batch) -> dict:
    """Compares loss and gradients in float64; AssertionError if they are unequal."""
    losses = []
    for model, loss_of in ((ours, our_loss), (theirs, peer.loss)):
        model.double().zero_grad()
        losses.append(loss_of(model, batch))
        losses[-1].backward()
    mine, other = losses
    torch.testing.assert_close(other, mine, rtol=1e-9, atol=0)
    gaps = []
    for name, want, grad in pairs(ours, theirs, peer, lambda p: p.grad):
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


def equality(batch: Batch, **sizes) -> dict[str, dict]:
    """Compares every peer with ours on this batch, without dropout, in float64."""
    results, device = {}, batch.inputs_BT.device
    for name, peer in PEERS.items():
        ours, theirs = build_pair(peer, dropout=0.0, **sizes)
        results[name] = compare(ours.to(device), theirs.to(device), peer, batch)
    return results
