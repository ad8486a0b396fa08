"""The model against transformers' BERT, and what must not change its output."""

import pytest
import torch
from tiny import scattered

from helpers.masking import IGNORE, mask_tokens, masked_positions, mlm_loss
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import PAD
from studies.speed.peers import PEERS

# All sizes differ, so that no swap of two of them can hide.
SIZES = dict(vocab_size=50, max_length=12, n_layers=3, d_model=24, n_heads=4, d_ff=40)
POSITIONS = "rotary", "learned", "sinusoidal", "none"
every_position = pytest.mark.parametrize("positions", POSITIONS)


def build(bert=False, **choices) -> MaskedLanguageModel:
    """A small model in eval mode whose every parameter is far from its start."""
    config = (ModelConfig.bert if bert else ModelConfig)(**(SIZES | choices))
    torch.manual_seed(0)
    return scattered(MaskedLanguageModel(config).eval(), 0.2)


def text(rows=4, length=11):
    """Ids without [PAD]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, SIZES["vocab_size"], (rows, length), generator=generator)


def padded():
    """Ids with [PAD] at the end of some rows."""
    ids = text()
    ids[1, 7:] = PAD
    ids[2, 2:] = PAD
    return ids


def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


@torch.no_grad()
def test_bert_configuration_equals_transformers_bert():
    model, ids, peer = build(bert=True), padded(), PEERS["BertForMaskedLM, eager"]
    theirs = peer.build(model.config).eval()
    peer.copy_weights(model, theirs)  # raises if any is left out
    real = ids != PAD
    want = theirs(ids, attention_mask=real.long()).logits
    assert want.std() > 0.5  # logits that say something
    torch.testing.assert_close(model(ids)[real], want[real], atol=1e-5, rtol=1e-5)
    assert count(model) == count(theirs) - SIZES["d_model"]  # of segments


def test_tied_weights_are_one_parameter_and_untied_are_two():
    tied, untied = build(), build(tied=False)
    assert tied.head.decoder.weight is tied.embedding.token.weight
    assert count(untied) - count(tied) == SIZES["vocab_size"] * SIZES["d_model"]
    assert not torch.equal(untied.head.decoder.weight, untied.embedding.token.weight)
    for model in (tied, untied):
        model(text()).sum().backward()
        assert all(p.grad is not None for p in model.parameters())


@every_position
@torch.no_grad()
def test_padding_cannot_change_the_output_of_a_real_position(positions):
    norm = "post" if positions == "learned" else "pre"
    model, ids = build(positions=positions, norm=norm, tied=False), padded()
    real = ids != PAD
    before = model(ids)[real]
    model.embedding.token.weight[PAD] += 10 * torch.randn(SIZES["d_model"])
    torch.testing.assert_close(model(ids)[real], before, atol=1e-5, rtol=1e-5)
    alone = model(ids[2:3, :2])
    torch.testing.assert_close(model(ids)[2:3, :2], alone, atol=1e-5, rtol=1e-5)


@every_position
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
    model = build(bert)
    generator = torch.Generator().manual_seed(0)
    inputs, labels = mask_tokens(padded(), SIZES["vocab_size"], 0.3, generator)
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


@torch.no_grad()
def test_weights_are_of_all_layers_and_heads_and_cost_no_accuracy():
    model, ids = build(), padded()
    logits, weights = model(ids, need_weights=True)
    torch.testing.assert_close(logits, model(ids))
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 3, 4, 11))
    assert (weights[2, ..., 2:] == 0).all()
    # The first layer's weights, from the layer itself.
    block = model.blocks[0]
    looked = block.attention_norm(model.embedding(ids))
    assert torch.equal(weights[:, 0], block.attention(looked, ids != PAD, True)[1])


@torch.no_grad()
def test_dropout_is_off_in_eval_and_acts_at_every_site():
    model, ids = build(dropout=0.3), text()
    torch.testing.assert_close(model(ids), build()(ids))
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
