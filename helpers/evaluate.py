"""How models are scored: fixed masks, the same words for every model.

During training the first of the seven `mask_subsets` is scored; final figures
take all of them. Left out: perplexity, which a masked loss does not give.

Shapes: B blocks, T positions, M positions of a block that are scored, V vocabulary;
without B, M counts those of all blocks.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.data import TrainingData
from helpers.masking import IGNORE, masked_positions
from helpers.model import shallow_model_copy
from helpers.settings import SettingError
from helpers.tokenizer import MASK, PAD


def require_scorable_ids(model, *texts: Tensor) -> None:
    """Raises ValueError if a text has an id for which the model has no vector."""
    highest, size = max(int(ids.max()) for ids in texts), model.config.vocab_size
    if highest >= size:
        raise ValueError(
            f"The text has id {highest}, but the model has vocab_size {size}; take "
            "the tokenizer that the model was made for."
        )


def require_scorable_data(model, data: TrainingData, batch_size: int) -> None:
    """Raises ValueError unless a model, a text and a batch size go together."""
    require_scorable_ids(model, data.stream, data.validation_BT)
    length = model.config.max_length
    lengths = data.validation_BT.shape[1], data.sample_BT.shape[1]
    if lengths != (length, length):
        raise ValueError(
            f"The text is cut into blocks of {lengths[0]} and {lengths[1]} tokens, but "
            f"the model has max_length {length}; prepare the text with length={length}."
        )
    if batch_size > (blocks := len(data.stream) // (length - 1)):
        most = f"at most {blocks}, the number of blocks in the training text"
        raise SettingError("batch_size", batch_size, most)


@torch.no_grad()
def evaluate(model, ids_BT, subset_BT, subsets=(0,), batch_size=64) -> dict:
    """Scores a model on fixed masks, with [MASK] only, dropout off and in float32.

    Each subset is masked and predicted in turn. Returns loss (nats per word), accuracy,
    the id predicted most often with its share, and the number of words scored.
    """
    require_scorable_ids(model, ids_BT)
    model, device = shallow_model_copy(model).eval(), next(model.parameters()).device
    total, true, predicted = 0.0, [], []
    rows = ids_BT.split(batch_size), subset_BT.split(batch_size)
    for subset, (part_BT, number_BT) in itertools.product(
        subsets, zip(*rows, strict=True)
    ):
        hidden_BT = number_BT == subset
        if not hidden_BT.any():
            continue
        longest = int((part_BT != PAD).sum(1).max())
        part_BT, hidden_BT = part_BT[:, :longest], hidden_BT[:, :longest]
        labels_BT = part_BT.masked_fill(~hidden_BT, IGNORE)
        at_BM, labels_BM = masked_positions(labels_BT)
        inputs_BT = part_BT.masked_fill(hidden_BT, MASK).to(device)
        with torch.autocast(device.type, enabled=False):
            logits_BMV = model(inputs_BT, at_BM.to(device)).cpu()
        logits_MV = logits_BMV[labels_BM != IGNORE]
        labels_M = labels_BM[labels_BM != IGNORE]
        total += F.cross_entropy(logits_MV, labels_M, reduction="sum").item()
        true.append(labels_M)
        predicted.append(logits_MV.argmax(-1))
    if not true:
        raise ValueError("No word of this text is in these subsets; take more text.")
    true_M, predicted_M = torch.cat(true), torch.cat(predicted)
    counts_V = predicted_M.bincount(minlength=logits_MV.shape[-1])
    return {
        "loss": total / len(true_M),
        "accuracy": (predicted_M == true_M).double().mean().item(),
        "most_predicted": counts_V.argmax().item(),
        "most_predicted_share": counts_V.max().item() / len(true_M),
        "words": len(true_M),
    }


def word_frequencies(stream: Tensor, vocab_size: int) -> Tensor:
    """Share of each word in the training text. Shape (V,); the shares sum to 1.

    Each count is raised by one, so that no word has probability 0. Special tokens and
    [UNK] are never scored and count as never seen.
    """
    counts_V = stream.bincount(minlength=vocab_size).double()
    counts_V[: MASK + 1] = 0
    return (counts_V + 1) / (counts_V + 1).sum()


def unigram(stream: Tensor, ids_BT: Tensor, subset_BT: Tensor, vocab_size: int) -> dict:
    """Loss and accuracy of the best guess that ignores the context, on subset 0.

    It knows the frequencies of words and nothing else. A model that has learned no
    more stays on the plateau at this loss.
    """
    labels_M = ids_BT[subset_BT == 0]
    chance_V = word_frequencies(stream, vocab_size)
    loss = -chance_V[labels_M].log().mean().item()
    accuracy = (labels_M == chance_V.argmax()).double().mean().item()
    return {"loss": loss, "accuracy": accuracy}


def validate(model, data: TrainingData) -> dict:
    """Both losses with dropout off, for an entry of a training history."""
    train = evaluate(model, data.sample_BT, data.sample_subset_BT)
    validation = evaluate(model, data.validation_BT, data.subset_BT)
    return {
        "train_loss": train["loss"],
        "validation_loss": validation["loss"],
        "validation_accuracy": validation["accuracy"],
        "most_predicted": validation["most_predicted"],
        "most_predicted_share": validation["most_predicted_share"],
    }
