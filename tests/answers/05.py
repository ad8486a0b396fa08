"""Plausible wrong answers to the exercises of notebook 05."""

from explorer.knockout import masked_ids, target_chances
from helpers.tokenizer import MASK


def chances(model, tokenizer, prediction, one, two) -> list[float]:
    """Of the true word with none, either and both of two words hidden."""
    rows_BT = masked_ids(tokenizer, prediction).repeat(4, 1)
    rows_BT[[1, 3], one + 1] = MASK
    rows_BT[[2, 3], two + 1] = MASK
    return target_chances(model, tokenizer, prediction, rows_BT)


def in_points(*given):
    none, first, second, both = chances(*given).tolist()
    return (none - both) - (none - first) - (none - second)


def turned_round(*given):
    none, first, second, both = chances(*given).log().tolist()
    return (none - first) + (none - second) - (none - both)


def of_both(*given):
    none, _, _, both = chances(*given).log().tolist()
    return none - both


def places_of_words(model, tokenizer, prediction, one, two):
    return -turned_round(model, tokenizer, prediction, one - 1, two - 1)


def best(answers, falls, pick):
    """The layer and head with the largest sum of what `pick` finds."""
    places = [(n, h) for n in range(3) for h in range(2)]
    sums = [
        sum(
            pick(a.attention(n, h), f, a.position)
            for a, f in zip(answers, falls, strict=True)
        )
        for n, h in places
    ]
    return places[sums.index(max(sums))]


def with_itself(answers, falls):
    return best(answers, falls, lambda s, f, _: f[s[1:-1].argmax()].item())


def off_by_one(answers, falls):
    def pick(share_S, fall_W, position):
        share_W = share_S[:-2].clone()
        share_W[position] = -1
        return fall_W[share_W.argmax()].item()

    return best(answers, falls, pick)


def head_first(answers, falls):
    def pick(share_S, fall_W, position):
        share_W = share_S[1:-1].clone()
        share_W[position] = -1
        return fall_W[share_W.argmax()].item()

    return best(answers, falls, pick)[::-1]


WRONG = {
    "5.1": [[], ["the"], [","], "."],
    "5.2": [in_points, turned_round, of_both, places_of_words],
    "5.3": [with_itself, off_by_one, head_first],
}
