"""Shows that two libraries' models are the same function, down to each gradient."""

from collections.abc import Iterator

import torch
from torch import nn

from studies.speed.peers import PEERS, Batch, Peer, build_ours, our_loss


def pairs(ours, theirs, peer: Peer, of=lambda p: p.data) -> Iterator[tuple]:
    """Yields the name of each parameter, and what `of` takes from ours and theirs."""
    names = {parameter: name for name, parameter in ours.named_parameters()}
    own = [m for m in ours.modules() if [*m.parameters(recurse=False)]]
    for module, other in zip(own, peer.modules(theirs), strict=True):
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
