"""The exercises of notebook 03: counting, hiding and scoring."""

import math

import torch

from helpers.masking import IGNORE, eligible, mask_tokens
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import CLS, MASK, SEP, UNK
from notebooks.exercises import exercise

# Sizes of small models: V, T, D, F and N of each. All differ, so none can stand in.
MODELS = (11, 6, 12, 7, 1), (11, 6, 12, 7, 2), (23, 9, 8, 31, 3)


def model_exercise_parameters(V, T, D, F, N) -> int:
    """The number of parameters of a model that makes BERT's choices."""
    sizes = dict(vocab_size=V, max_length=T, d_model=D, d_ff=F, n_layers=N, n_heads=1)
    model = MaskedLanguageModel(ModelConfig.bert(**sizes))
    return sum(p.numel() for p in model.parameters())


def model_exercise_block(D: int, F: int, right: int, given: int) -> str:
    """What to say of an answer whose encoder block has another size."""
    return (
        f"With D = {D} and F = {F}, one more encoder block adds {right:,} parameters; "
        f"yours adds {given:,}. Each matrix has a bias, and each LayerNorm has two "
        "vectors."
    )


@exercise("3.1")
def grade_model_parameters(answer):
    given = [answer(*sizes) for sizes in MODELS]
    right = [model_exercise_parameters(*sizes) for sizes in MODELS]
    if given == right:
        return None
    V, T, D, F, N = MODELS[0]
    extra, a_block = given[0] - right[0], right[1] - right[0]
    if given[1] - given[0] != a_block:
        return model_exercise_block(D, F, a_block, given[1] - given[0])
    if extra == V * D:
        return "You count the embedding twice. The decoder uses the same table."
    if extra == -T * D:
        return "The table of positions is missing: it has a vector for each position."
    if not extra:
        return (
            f"For {MODELS[2]}, it is {right[2]:,} parameters; yours are {given[2]:,}."
        )
    more = f"{abs(extra):,} parameters too {'many' if extra > 0 else 'few'}"
    return (
        f"The encoder blocks are right. For V, T, D, F, N = {MODELS[0]}, the rest has "
        f"{more}. Look at the head and at the LayerNorm outside the blocks."
    )


@exercise("3.2")
def grade_model_masking(answer):
    ids_T = torch.tensor([CLS, 8, UNK, 9, 8, SEP, 7, SEP])
    before_T, at_M = ids_T.clone(), eligible(ids_T).nonzero()[:, 0]
    inputs_MT, labels_MT = answer(ids_T)
    shape = len(at_M), len(ids_T)
    if not torch.equal(ids_T, before_T):
        return "Your function changes the text that it was given. Work on a copy."
    if len(inputs_MT) > len(at_M):
        return "There are too many rows: special tokens such as [UNK] are never hidden."
    if tuple(inputs_MT.shape) != shape or tuple(labels_MT.shape) != shape:
        shapes = f"{tuple(inputs_MT.shape)} and {tuple(labels_MT.shape)}"
        return f"The shapes are {shapes}, and both should be {shape}."
    if ((inputs_MT == MASK).sum(1) > 1).any():
        return "Some rows hide more than one word. Is each row a copy of its own?"
    right_MT = torch.arange(len(ids_T)) == at_M[:, None]
    if not torch.equal(inputs_MT, ids_T.masked_fill(right_MT, MASK)):
        return "In row m, only the m-th eligible word of the text may be hidden."
    if ((labels_MT != IGNORE).sum(1) > 1).any():
        return "A label other than IGNORE may stand only where the word is hidden."
    if not torch.equal(labels_MT, ids_T.masked_fill(~right_MT, IGNORE)):
        return "The label at the hidden position must be the id of the true word."


@exercise("3.3")
def grade_model_loss(answer):
    draw = torch.Generator().manual_seed(0)
    logits_BTV = torch.randn(4, 9, 20, generator=draw).requires_grad_()
    ids_BT = torch.randint(5, 20, (4, 9), generator=draw)
    labels_BT = mask_tokens(ids_BT, 20, 0.4, draw)[1]
    chosen_BT = labels_BT != IGNORE
    # -ln p of every position; where none is selected, of an arbitrary word.
    word_BT = labels_BT.clamp(min=0)[..., None]
    cost_BT = -logits_BTV.detach().log_softmax(-1).gather(-1, word_BT)[..., 0]
    right, given = cost_BT[chosen_BT].mean(), answer(logits_BTV, labels_BT)
    number = torch.as_tensor(given).detach()

    def is_near(value) -> bool:
        return math.isclose(number, value, rel_tol=1e-4)

    if number.numel() != 1:
        return "The loss is one number: the mean over all selected positions."
    if is_near(right):
        if isinstance(given, torch.Tensor) and given.requires_grad:
            return None
        return "The number is right, but no gradient can flow from it to the logits."
    rows = [cost_BT[b, chosen].mean() for b, chosen in enumerate(chosen_BT)]
    mistakes = {
        -right: "The sign is wrong. A logarithm of a probability is never positive.",
        right * len(labels_BT[chosen_BT]): "This is the sum. Divide it by M.",
        right / math.log(2): "These are bits. The natural logarithm gives nats.",
        cost_BT[chosen_BT].sum() / labels_BT.numel(): "You divide by the number of all "
        "positions. Divide by the number of selected positions.",
        sum(rows) / len(rows): "You average within each row first. But rows differ in "
        "their number of selected positions, and every position counts the same.",
    }
    for value, advice in mistakes.items():
        if is_near(value):
            return advice
    return (
        f"In a small test the loss is {right:.3f}, and yours is {number:.3f}. "
        "Does the softmax run over the words, and do only selected positions count?"
    )
