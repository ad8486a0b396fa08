"""What must not change the model's output; its values are compared in test_export."""

import pytest
import torch
from tiny import scattered

from helpers.masking import IGNORE, mask_tokens, masked_positions, mlm_loss
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import PAD

# All sizes differ, so that no swap of two of them can hide.
SIZES = dict(vocab_size=50, max_length=12, n_layers=3, d_model=24, n_heads=4, d_ff=40)


def build(bert=False, **choices) -> MaskedLanguageModel:
    """A small model in eval mode whose every parameter is far from its start."""
    config = (ModelConfig.bert if bert else ModelConfig)(**(SIZES | choices))
    torch.manual_seed(0)
    return scattered(MaskedLanguageModel(config).eval(), 0.2)


def text(rows=4, length=11):
    """Ids without [PAD]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, SIZES["vocab_size"], (rows, length), generator=generator)


@pytest.mark.parametrize("positions", ["rotary", "learned", "sinusoidal", "none"])
@torch.no_grad()
def test_only_position_none_is_permutation_equivariant(positions):
    model, ids = build(positions=positions), text()
    order = torch.tensor([3, 0, 1, 2, 10, 4, 9, 5, 8, 6, 7])
    gap = (model(ids[:, order]) - model(ids)[:, order]).abs().max()
    assert gap < 1e-4 if positions == "none" else gap > 0.1
    with pytest.raises(ValueError, match="13 tokens are more than max_length 12"):
        model(text(length=13))


@pytest.mark.parametrize("bert", [False, True])
def test_logits_at_masked_positions_are_the_same_and_so_are_gradients(bert):
    model, ids = build(bert), text()
    ids[1, 7:] = ids[2, 2:] = PAD
    generator = torch.Generator().manual_seed(0)
    inputs, labels = mask_tokens(ids, SIZES["vocab_size"], 0.3, generator)
    at, answers = masked_positions(labels)
    assert (answers == IGNORE).any()  # a row with fewer
    results = []
    for where, wanted in ((None, labels), (at, answers)):
        model.zero_grad()
        logits = model(inputs, where)
        mlm_loss(logits, wanted).backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        results.append([logits[wanted != IGNORE], *gradients])
    for everywhere, there in zip(*results, strict=True):
        torch.testing.assert_close(there, everywhere, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(inputs, at, need_weights=True)[0], logits)


@pytest.mark.parametrize("bert", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@torch.no_grad()
def test_dropout_is_off_in_eval_and_acts_at_every_site(fused, bert):
    model, ids = build(bert, dropout=0.3), text()
    for block in model.blocks:
        block.attention.fused = fused
    torch.testing.assert_close(model(ids), build(bert, dropout=0.0)(ids))
    assert model.blocks[0](torch.zeros(1, 3, 24))[1] is None  # weights are not wanted
    sites = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    assert len(sites) == 1 + 2 * SIZES["n_layers"]  # embedding; attention and block
    for site in sites:
        site.train()
        assert site.p == 0.3 and not torch.equal(model(ids), model(ids))
        site.eval()
    apart = build(dropout=0.3, attention_dropout=0.0)
    assert {block.attention.dropout.p for block in apart.blocks} == {0.0}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"n_heads": 5}, "d_model is 24; choose a multiple of 10, as n_heads is 5"),
        ({"n_heads": 8}, "multiple of 16, as n_heads is 8 and positions is 'rotary'"),
        ({"positions": "sinusoidal", "d_model": 9, "n_heads": 3}, "d_model is 9"),
        ({"positions": "none", "n_heads": 7}, "multiple of 7"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(choices, said):
    with pytest.raises(ValueError, match=said):
        ModelConfig(**(SIZES | choices))
