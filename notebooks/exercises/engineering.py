"""Graders of notebook 07."""

import math

import torch

from notebooks.exercises import exercise

LARGEST = torch.finfo(torch.float16).max


@exercise("7.1")
def grade_engineering_scale(answer):
    cases = [[1e-8, -3e-7, 2e-9], [0.7, -4.0, 1e-8], [-1e-6, 5e-7], [70_000.0, 1.0]]
    for gradients in map(torch.tensor, cases):
        found = float(answer(gradients.clone()))
        told = f"for gradients {[f'{g:g}' for g in gradients.tolist()]}"
        if not found > 0:
            return f"{told} your scale is {found:g}; a scale is positive."
        if not (gradients * found).half().isfinite().all():
            return (
                f"{told} your scale {found:g} turns the largest gradient into "
                f"{(gradients * found).abs().max():g}, more than {LARGEST:,.0f}."
            )
        if math.log2(found) % 1:
            return f"{told} your scale is {found:g}, which is not a power of two."
        if (gradients * 2 * found).half().isfinite().all():
            return f"{told} your scale is {found:g}, but {2 * found:g} still fits."


@exercise("7.2")
def grade_engineering_gradient(answer):
    draw = torch.Generator().manual_seed(0)
    for counts in ([30, 30], [90, 10], [1, 2, 3, 4]):
        words = [torch.randn(n, 5, generator=draw) for n in counts]
        wanted = torch.cat(words).mean(0)
        found = answer([part.mean(0) for part in words], counts)
        if not isinstance(found, torch.Tensor) or found.shape != wanted.shape:
            return "return one gradient, of the same shape as each given gradient."
        found = found.float()
        if not torch.allclose(found, wanted, atol=1e-6):
            ratio = (found / wanted).mean()
            if torch.allclose(found, ratio * wanted, rtol=1e-4):
                return (
                    f"for counts {counts}, the direction is right, but the gradient is "
                    f"{ratio:.3g} times as long as it should be. What divides the sum?"
                )
            return (
                f"for counts {counts}, this is not the gradient of the mean over all "
                "words. Weight each process by its number of masked words."
            )
