"""Checks of BERT's masking: which words are selected, and what replaces them."""

import torch

from helpers.masking import IGNORE
from helpers.tokenizer import CLS, MASK, PAD, SEP, SPECIALS
from notebooks.grader import grader_check

V, FIRST, ROWS, LENGTH = 200, len(SPECIALS), 6_000, 64


def mask_evidence(seen, adapters):
    draw = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(FIRST, V, (ROWS, LENGTH), generator=draw)
    ids_BT[:, 0], ids_BT[:, -3], ids_BT[:, -2:] = CLS, SEP, PAD
    given_BT = ids_BT.clone()

    def masked(seed):
        draw = torch.Generator().manual_seed(seed)
        return adapters.mask(given_BT, V, draw)

    seen.ids_BT, (seen.inputs_BT, seen.labels_BT) = ids_BT, masked(1)
    seen.untouched = bool((given_BT == ids_BT).all())
    given_BT = ids_BT.clone()
    seen.selected_BT = seen.labels_BT != IGNORE
    seen.shown, true = seen.inputs_BT[seen.selected_BT], ids_BT[seen.selected_BT]
    seen.replaced = seen.shown[(seen.shown != MASK) & (seen.shown != true)]
    seen.stayed = float((seen.shown == true).float().mean())
    seen.again = [masked(seed)[1] for seed in (1, 2)]


def mask_check_near(share: float, wanted: float, count: int) -> tuple[bool, str]:
    """Within four standard deviations of a draw of `count`."""
    margin = 4 * (wanted * (1 - wanted) / count) ** 0.5
    return abs(share - wanted) < margin, f"{share:.1%} instead of {wanted:.0%}"


@grader_check(
    "15 % of the words are selected",
    "The rate is a share of the words: do not count [PAD], [CLS] and [SEP].",
)
def check_mask_rate(seen):
    words = int((seen.ids_BT >= FIRST).sum())
    return mask_check_near(int(seen.selected_BT.sum()) / words, 0.15, words)


@grader_check(
    "special tokens are never selected",
    "Choose only ids from 5 up; a model that predicts [PAD] learns to count padding.",
)
def check_mask_specials(seen):
    count = int((seen.selected_BT & (seen.ids_BT < FIRST)).sum())
    return count == 0, f"{count:,} special tokens were selected"


@grader_check(
    "80 % of the selected words become [MASK]",
    "Let one draw decide all three cases. Two draws give 81, 10 and 9 %.",
)
def check_mask_masked(seen):
    share = float((seen.shown == MASK).float().mean())
    return mask_check_near(share, 0.8, len(seen.shown))


@grader_check(
    "10 % become another word",
    "Give random words one tenth of the deciding draw, such as 0.8 to 0.9.",
)
def check_mask_random(seen):
    # One random word in V - 5 is the true one.
    share = len(seen.replaced) / len(seen.shown) * (V - FIRST) / (V - FIRST - 1)
    return mask_check_near(share, 0.1, len(seen.shown))


@grader_check(
    "10 % stay as they are",
    "Let one draw decide all three cases. Two draws give 81, 10 and 9 %.",
)
def check_mask_kept(seen):
    share = seen.stayed - 0.1 / (V - FIRST)
    return mask_check_near(share, 0.1, len(seen.shown))


@grader_check(
    "a random word is never a special token",
    "Draw from randint(5, vocab_size): a [PAD] in the middle of a sentence hides a "
    "word from attention.",
)
def check_mask_random_ids(seen):
    count = int((seen.replaced < FIRST).sum())
    return count == 0, f"{count} words were replaced by a special token"


@grader_check(
    "random words come from the whole vocabulary",
    "Draw a word for each position. Note that randint excludes its upper end.",
)
def check_mask_vocabulary(seen):
    kinds = len(seen.replaced[seen.replaced >= FIRST].unique())
    return kinds == V - FIRST, f"{kinds} of {V - FIRST} words occur"


@grader_check(
    "the label of a selected position is the true word",
    "Take the labels from the ids before they are replaced.",
)
def check_mask_labels(seen):
    right = seen.labels_BT[seen.selected_BT] == seen.ids_BT[seen.selected_BT]
    share = float(right.float().mean())
    return bool(right.all()), f"{share:.0%} of the labels are true"


@grader_check(
    "most positions have no label",
    "Fill labels with -100 where nothing is selected; otherwise the model is "
    "rewarded for copying what it sees.",
)
def check_mask_unlabelled(seen):
    share = float(seen.selected_BT.float().mean())
    return share < 0.5, f"{share:.0%} of the positions have a label"


@grader_check(
    "words that are not selected stay as they are",
    "Replace a word only under the condition `selected & …`.",
)
def check_mask_others(seen):
    other_BT = ~seen.selected_BT & (seen.inputs_BT != seen.ids_BT)
    return not other_BT.any(), f"{int(other_BT.sum()):,} of these words changed"


@grader_check(
    "the caller's ids are left alone",
    "Work on a copy (torch.where, or masked_fill without the underscore); otherwise "
    "the next epoch reads a text that is already masked.",
)
def check_mask_input(seen):
    return seen.untouched, "the tensor that was passed in has changed"


@grader_check(
    "the same seed gives the same mask",
    "Pass the generator to every draw.",
)
def check_mask_seed(seen):
    same = bool((seen.again[0] == seen.labels_BT).all())
    return same, "two calls with seed 1 chose different words"


@grader_check(
    "another seed gives another mask",
    "Use the generator that is passed in, not one with a fixed seed.",
)
def check_mask_other_seed(seen):
    same = bool((seen.again[1] == seen.labels_BT).all())
    return not same, "seeds 1 and 2 chose the same words"


@grader_check(
    "each row is masked on its own",
    "Draw numbers of shape (B, T), not (T,).",
)
def check_mask_rows(seen):
    shares = seen.selected_BT[:, 1:-3].float().mean(0)
    return bool((shares < 0.5).all()), "some positions are selected in most rows"
