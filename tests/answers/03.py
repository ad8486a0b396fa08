"""Wrong answers to the exercises of notebook 03."""

import torch

from helpers.masking import IGNORE, eligible
from helpers.tokenizer import MASK


def block(D, F):
    return 4 * (D * D + D) + 2 * D * F + F + D + 4 * D


def head(V, D):
    return D * D + D + 2 * D + V


def decoder_of_its_own(V, T, D, F, N):
    return (2 * V + T) * D + 2 * D + N * block(D, F) + head(V, D)


def no_positions(V, T, D, F, N):
    return V * D + 2 * D + N * block(D, F) + head(V, D)


def no_biases(V, T, D, F, N):
    return (V + T) * D + 2 * D + N * (4 * D * D + 2 * D * F + 4 * D) + head(V, D)


def two_norms_outside(V, T, D, F, N):
    return (V + T) * D + 4 * D + N * block(D, F) + head(V, D)


def hidden(ids_T, at_M, inputs_MT):
    m = torch.arange(len(at_M))
    inputs_MT[m, at_M] = MASK
    labels_MT = torch.full_like(ids_T.repeat(len(at_M), 1), IGNORE)
    labels_MT[m, at_M] = ids_T[at_M]
    return inputs_MT, labels_MT


def hides_special_tokens(ids_T):
    at_M = torch.arange(len(ids_T))
    return hidden(ids_T, at_M, ids_T.repeat(len(at_M), 1))


def hides_all_at_once(ids_T):
    at_M = eligible(ids_T).nonzero()[:, 0]
    rows = [ids_T.clone()] * len(at_M)  # one row, M times
    for row_T, t in zip(rows, at_M, strict=True):
        row_T[t] = MASK
    labels_MT = hidden(ids_T, at_M, ids_T.repeat(len(at_M), 1))[1]
    return torch.stack(rows), labels_MT


def hides_one_more_in_each_row(ids_T):
    at_M = eligible(ids_T).nonzero()[:, 0]
    inputs_T, inputs = ids_T.clone(), []
    for t in at_M:
        inputs_T[t] = MASK
        inputs.append(inputs_T.clone())
    rows_MT = ids_T.repeat(len(at_M), 1)
    return torch.stack(inputs), hidden(ids_T, at_M, rows_MT)[1]


def asks_everywhere(ids_T):
    at_M = eligible(ids_T).nonzero()[:, 0]
    inputs_MT, _ = hidden(ids_T, at_M, ids_T.repeat(len(at_M), 1))
    return inputs_MT, ids_T.repeat(len(at_M), 1)


def changes_the_text(ids_T):
    at_M = eligible(ids_T).nonzero()[:, 0]
    answer = hidden(ids_T, at_M, ids_T.repeat(len(at_M), 1))
    ids_T[at_M] = MASK
    return answer


def costs(logits_BTV, labels_BT):
    words_BT = labels_BT.clamp(min=0)[..., None]
    return -logits_BTV.log_softmax(-1).gather(-1, words_BT)[..., 0]


def of_all_positions(logits_BTV, labels_BT):
    return costs(logits_BTV, labels_BT).mean()


def divides_by_all_positions(logits_BTV, labels_BT):
    kept_BT = labels_BT != IGNORE
    return (costs(logits_BTV, labels_BT) * kept_BT).sum() / kept_BT.numel()


def mean_of_rows(logits_BTV, labels_BT):
    kept_BT = labels_BT != IGNORE
    sum_B = (costs(logits_BTV, labels_BT) * kept_BT).sum(1)
    return (sum_B / kept_BT.sum(1)).mean()


def mask_after_the_mean(logits_BTV, labels_BT):
    kept_BT = labels_BT != IGNORE
    return (costs(logits_BTV, labels_BT).mean() * kept_BT).sum() / kept_BT.sum()


def in_bits(logits_BTV, labels_BT):
    return costs(logits_BTV, labels_BT)[labels_BT != IGNORE].mean() / 0.693147


def wrong_sign(logits_BTV, labels_BT):
    return -costs(logits_BTV, labels_BT)[labels_BT != IGNORE].mean()


def without_gradient(logits_BTV, labels_BT):
    return costs(logits_BTV.detach(), labels_BT)[labels_BT != IGNORE].mean()


WRONG = {
    "3.1": [decoder_of_its_own, no_positions, no_biases, two_norms_outside],
    "3.2": [
        hides_special_tokens,
        hides_all_at_once,
        hides_one_more_in_each_row,
        asks_everywhere,
        changes_the_text,
    ],
    "3.3": [
        of_all_positions,
        divides_by_all_positions,
        mean_of_rows,
        mask_after_the_mean,
        in_bits,
        wrong_sign,
        without_gradient,
    ],
}
