"""A reader's default device and number format change nothing."""

import pytest
import torch

from explorer.knockout import without_heads, without_words
from explorer.predict import fill_mask
from helpers.corpus import load_corpus
from helpers.data import TrainingData, batches, bucket, pack, pad
from helpers.layers import sinusoidal_positions
from helpers.masking import mask_tokens
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.seeds import seeded
from helpers.tokenizer import WordTokenizer
from helpers.train import train

CORPUS = load_corpus("toy")
TOKENIZER = WordTokenizer.train(CORPUS.train)
LINES = [[5, 6, 7, 8], [9, 10], [11, 12, 13]]


def draws() -> list:
    """Rows, batches and masks of all kinds, as plain numbers."""
    stream = torch.arange(5, 405, device="cpu")
    ids = pack(LINES * 9, 8)
    made = [pad(LINES, 8), *bucket(LINES, 8, 2, seeded(1)), ids]
    made.append(next(batches(stream, 8, 4, seed=3, start=5)))
    for fixed in (True, False):
        made += mask_tokens(ids, 20, 0.4, seeded(2), fixed=fixed)
    return [tensor.tolist() for tensor in [*made, sinusoidal_positions(5, 6)]]


def results(positions: str) -> list:
    """Draws, the history of a training, and what its model says."""
    data = TrainingData.prepare(TOKENIZER, CORPUS, 32, sample=16)
    data.validation_BT, data.subset_BT = data.validation_BT[:9], data.subset_BT[:9]
    data.stream = data.stream[:4_000]
    torch.manual_seed(0)
    sizes = dict(max_length=32, n_layers=1, d_model=16, n_heads=2, d_ff=16, dropout=0.1)
    config = ModelConfig(len(TOKENIZER), positions=positions, **sizes)
    model = MaskedLanguageModel(config)
    how = TrainConfig(
        epochs=1, batch_size=16, optimizer="muon", evaluations=1, precision="float32"
    )
    history = train(model, data, how).history
    model.eval()
    said = fill_mask(model, TOKENIZER, "The fox left .", 1)
    knocked = without_words(model, TOKENIZER, said).tolist()
    knocked += without_heads(model, TOKENIZER, said).tolist()
    for entry in history:
        del entry["seconds"]
    return [draws(), history, said.top, said.attention("rollout").tolist(), knocked]


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_neither_device_nor_number_format_by_default_changes_anything(positions):
    want = results(positions)
    try:
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        found = results(positions)
        assert torch.get_default_dtype() == torch.float64
        assert torch.empty(1).device.type == "meta"
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert found == want
