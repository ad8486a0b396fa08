"""Two shortcuts that the layers take; neither changes a result."""

import torch.nn.functional as F
from torch import Tensor


def attend_fused(q_BHTK, k_BHSK, v_BHSK, real_BS=None, dropout=None):
    """`attend` in one fused kernel, which never forms the weights: they are None."""
    mask = None if real_BS is None else real_BS[:, None, None, :]
    p = dropout.p if dropout is not None and dropout.training else 0.0
    mixed_BHTK = F.scaled_dot_product_attention(
        q_BHTK, k_BHSK, v_BHSK, attn_mask=mask, dropout_p=p
    )
    return mixed_BHTK, None


def gather_positions(x_BSD: Tensor, at_BT: Tensor | None) -> Tensor:
    """The vectors at the positions `at_BT` of each row, (B, T, D); None takes all."""
    if at_BT is None:
        return x_BSD
    return x_BSD.gather(1, at_BT[..., None].expand(-1, -1, x_BSD.shape[-1]))
