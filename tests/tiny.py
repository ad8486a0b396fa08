"""A model that takes milliseconds, for tests of what is asked of a trained one."""

import torch

from helpers.model import MaskedLanguageModel, ModelConfig


def tiny_model(vocab_size: int, seed: int = 0, n_heads: int = 2) -> MaskedLanguageModel:
    """Two layers of 16 numbers, far enough from the start to tell words apart."""
    torch.manual_seed(seed)
    sizes = {"max_length": 32, "n_layers": 2, "d_model": 16, "n_heads": n_heads}
    model = MaskedLanguageModel(ModelConfig(vocab_size=vocab_size, **sizes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model
