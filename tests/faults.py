"""Faults of published and of plausible code, each with the check that names it.

`FAULTS` maps what is wrong to the part that is wrong, its faulty code, and the name of
a check of `notebooks/grader` that has to fail.
"""

import copy
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from helpers import layers
from helpers.masking import IGNORE, eligible, mask_tokens, mlm_loss
from helpers.tokenizer import MASK, PAD, SPECIALS, UNK, WordTokenizer
from notebooks.grader import ours

FIRST = len(SPECIALS)
FAULTS: dict[str, tuple[str, object, str]] = {}


def fault(what: str, part: str, caught_by: str):
    return lambda code: FAULTS.setdefault(what, (part, code, caught_by)) and code


def changed(encode=None, decode=None, words=None):
    """A factory of tokenizers of which something is changed."""

    def make(lines, vocab_size):
        tokenizer = WordTokenizer.train(lines, vocab_size)
        if words:
            kept = words(lines, vocab_size - FIRST)
            tokenizer = WordTokenizer([*SPECIALS, *kept])
        enc, dec = (
            encode or (lambda t, w: t.encode(w)),
            decode or (lambda t, i: t.decode(i)),
        )
        return SimpleNamespace(
            encode=lambda w: enc(tokenizer, w), decode=lambda i: dec(tokenizer, i)
        )

    return make


def all_words(lines) -> list[str]:
    return [*dict.fromkeys(word for line in lines for word in line.split())]


TOKENIZERS = {
    "a word's id is its hash": (
        changed(lambda t, words: [FIRST + len(w) for w in words]),
        "distinct",
    ),
    "words are numbered from 0": (
        changed(
            lambda t, words: [t.ids.get(w, UNK + FIRST) - FIRST for w in words],
            lambda t, ids: t.decode([i + FIRST for i in ids]),
        ),
        "clear_of_specials",
    ),
    "the special tokens are not counted": (
        lambda lines, size: changed(lambda t, ws: [i + 1 for i in t.encode(ws)])(
            lines, size
        ),
        "within_size",
    ),
    "decode reads the table one row off": (
        changed(decode=lambda t, ids: t.decode([max(FIRST, i - 1) for i in ids])),
        "comes_back",
    ),
    "an unknown word is left out": (
        changed(lambda t, words: [t.ids.get(w, FIRST) for w in words]),
        "unknown",
    ),
    "the first words of the text are kept, not the most frequent": (
        changed(words=lambda lines, size: sorted(all_words(lines))[-size:]),
        "frequent",
    ),
    "ties go to the word that comes first": (
        changed(words=lambda lines, size: all_words(lines)[:size]),
        "ties",
    ),
    "special tokens can be typed": (
        changed(
            lambda t, ws: [MASK if w == "[MASK]" else t.ids.get(w, UNK) for w in ws]
        ),
        "typed_mask",
    ),
}
for what, (code, caught_by) in TOKENIZERS.items():
    fault(what, "tokenizer", caught_by)(code)


def masking(choose=None, fill=None, rate=0.15):
    """A mask function of which a step is changed."""

    def mask(ids_BT, vocab_size, generator):
        chosen_BT = (choose or of_eligible)(ids_BT, rate, generator)
        change = fill or with_words(FIRST, None)
        inputs_BT = change(ids_BT, chosen_BT, vocab_size, generator)
        return inputs_BT, ids_BT.masked_fill(~chosen_BT, IGNORE)

    return mask


def two_draws(ids_BT, chosen_BT, vocab_size, draw):
    """81/10/9: as in lucidrains/mlm-pytorch#6."""
    some = [torch.rand(ids_BT.shape, generator=draw) < p for p in (0.1, 0.9)]
    word_BT = torch.randint(FIRST, vocab_size, ids_BT.shape, generator=draw)
    random_BT, mask_BT = chosen_BT & some[0], chosen_BT & ~some[0] & some[1]
    return torch.where(random_BT, word_BT, ids_BT).masked_fill(mask_BT, MASK)


def with_words(low, high, until=0.9):
    """Random words drawn from a wrong range, or too often."""

    def fill(ids_BT, chosen_BT, vocab_size, draw):
        draw_BT = torch.rand(ids_BT.shape, generator=draw)
        word_BT = torch.randint(low, high or vocab_size, ids_BT.shape, generator=draw)
        swapped_BT = chosen_BT & (draw_BT >= 0.8) & (draw_BT < until)
        inputs_BT = ids_BT.masked_fill(chosen_BT & (draw_BT < 0.8), MASK)
        return torch.where(swapped_BT, word_BT, inputs_BT)

    return fill


def in_place(ids_BT, vocab_size, generator):
    inputs_BT, labels_BT = mask_tokens(ids_BT, vocab_size, 0.15, generator)
    ids_BT.copy_(inputs_BT)
    return inputs_BT, labels_BT


def late_labels(ids_BT, vocab_size, generator):
    inputs_BT, labels_BT = mask_tokens(ids_BT, vocab_size, 0.15, generator)
    return inputs_BT, inputs_BT.where(labels_BT != IGNORE, IGNORE)


def all_labels(ids_BT, vocab_size, generator):
    return mask_tokens(ids_BT, vocab_size, 0.15, generator)[0], ids_BT.clone()


def everywhere(ids_BT, vocab_size, generator):
    inputs_BT, labels_BT = mask_tokens(ids_BT, vocab_size, 0.15, generator)
    flips_BT = torch.rand(ids_BT.shape, generator=generator) < 0.01
    return inputs_BT.masked_fill(flips_BT, MASK), labels_BT


def of_all(ids_BT, rate, generator):
    return torch.rand(ids_BT.shape, generator=generator) < rate


def of_eligible(ids_BT, rate, generator):
    return eligible(ids_BT) & of_all(ids_BT, rate, generator)


def of_columns(ids_BT, rate, generator):
    return eligible(ids_BT) & (torch.rand(ids_BT.shape[1], generator=generator) < rate)


def always_mask(ids_BT, chosen_BT, vocab_size, generator):
    return ids_BT.masked_fill(chosen_BT, MASK)


def own_draw(ids_BT, vocab_size, generator):
    return mask_tokens(ids_BT, vocab_size, 0.15, torch.Generator().manual_seed(0))


def no_generator(ids_BT, vocab_size, generator):
    fresh = torch.Generator()
    fresh.seed()
    return mask_tokens(ids_BT, vocab_size, 0.15, fresh)


MASKS = {
    "two draws give 81/10/9": (masking(fill=two_draws), "become_mask"),
    "no chosen word stays as it is": (
        masking(fill=with_words(FIRST, None, 1.0)),
        "stay",
    ),
    "chosen words always become [MASK]": (masking(fill=always_mask), "become_random"),
    "the rate is 20 %": (masking(rate=0.2), "rate"),
    "special tokens are chosen": (masking(choose=of_all), "no_special"),
    "random words include the specials": (
        masking(fill=with_words(0, None)),
        "random_special",
    ),
    "random words are the first hundred": (
        masking(fill=with_words(FIRST, 100)),
        "whole_vocabulary",
    ),
    "labels are taken after the replacement": (late_labels, "true_labels"),
    "every position has a label": (all_labels, "few_labels"),
    "words without a label are hidden, too": (everywhere, "others_stay"),
    "the text itself is masked": (in_place, "left_alone"),
    "each call draws from its own, fixed seed": (own_draw, "other_seed"),
    "the generator is not used": (no_generator, "repeatable"),
    "all rows share one mask": (masking(choose=of_columns), "own_rows"),
}
for what, (code, caught_by) in MASKS.items():
    fault(what, "mask", caught_by)(code)


def attention(
    scale=None, mask_after=False, inverted=False, hide=True, rows=False, of=None,
    drop=True, dropped=False, by_hand=False, dim=-1, values=True,
):  # fmt: skip
    """Attention of which one step is wrong."""

    def attend(q_BHTK, k_BHSK, v_BHSK, real_BS, p):
        scores = q_BHTK @ k_BHSK.mT / (scale or q_BHTK.shape[-1] ** 0.5)
        hidden = None
        if real_BS is not None and hide:
            hidden = (real_BS if inverted else ~real_BS)[:, None, None, :]
            hidden = hidden if of is None else hidden[of : of + 1]
        if hidden is not None and not mask_after:
            scores = scores.masked_fill(hidden, float("-inf"))
        weights = (
            scores.exp() / scores.exp().sum(-1, True)
            if by_hand
            else scores.softmax(dim)
        )
        if hidden is not None and mask_after:
            weights = weights.masked_fill(hidden, 0.0)
        used = F.dropout(weights, p) if drop else weights
        mixed_BHTK = used @ (v_BHSK if values else k_BHSK)
        told = used if dropped else weights
        return mixed_BHTK, told.mT if rows else told

    return attend


ATTENTIONS = {
    "scores are not scaled": (attention(scale=1.0), "weights"),
    "scores are divided by K": (attention(scale=8.0), "weights"),
    "the softmax runs over the queries": (attention(dim=-2), "sums"),
    "keys are labelled as queries": (attention(rows=True), "shape"),
    "[PAD] leaks": (attention(hide=False), "no_padding"),
    "the mask is inverted": (attention(inverted=True), "real_words"),
    "the mask comes after the softmax": (attention(mask_after=True), "padded_sums"),
    "all rows take the mask of the first": (attention(of=0), "no_padding"),
    "all rows take the mask of the second": (attention(of=1), "other_row"),
    "maps are returned after dropout": (attention(dropped=True), "before_dropout"),
    "dropout is forgotten": (attention(drop=False), "dropout_acts"),
    "the softmax overflows": (attention(by_hand=True), "large_scores"),
    "keys are mixed in place of values": (attention(values=False), "mixed"),
}  # fmt: skip
for what, (code, caught_by) in ATTENTIONS.items():
    fault(what, "attention", caught_by)(code)


def cross_entropy(logits_BTV, labels_BT, **how):
    return F.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten(), **how)


@fault("the loss mask does nothing", "loss", "others")
def masked_too_late(logits_BTV, labels_BT):
    """A mean that is weighted is still the mean: as in d2l-ai/d2l-en#2582."""
    weights_BT = (labels_BT != IGNORE).float()
    loss = cross_entropy(logits_BTV, labels_BT.clamp(min=0))
    return (loss * weights_BT).sum() / weights_BT.sum()


@fault("the loss divides by all positions", "loss", "dilution")
def by_all(logits_BTV, labels_BT):
    return cross_entropy(logits_BTV, labels_BT, reduction="sum") / labels_BT.numel()


@fault("unselected positions count", "loss", "mean")
def unselected(logits_BTV, labels_BT):
    return cross_entropy(logits_BTV, labels_BT.clamp(min=0))


@fault("ignore_index is a class", "loss", "every_word")
def wrong_class(logits_BTV, labels_BT):
    return cross_entropy(logits_BTV, labels_BT.clamp(min=0), ignore_index=0)


@fault("rows are averaged, then the batch", "loss", "mean")
def row_means(logits_BTV, labels_BT):
    rows = zip(logits_BTV.split(1), labels_BT.split(1), strict=True)
    losses = [mlm_loss(x, y) for x, y in rows if (y != IGNORE).any()]
    return torch.stack(losses).mean()


@fault("the loss is in bits", "loss", "nats")
def bits(logits_BTV, labels_BT):
    return mlm_loss(logits_BTV, labels_BT) / torch.tensor(2.0).log()


@fault("a softmax stands before the loss", "loss", "logits")
def softmax_twice(logits_BTV, labels_BT):
    return mlm_loss(logits_BTV.softmax(-1), labels_BT)


class Wrapped(nn.Module):
    """Our model with a change in front of it, behind it, or in its parts."""

    def __init__(self, inner, before=None, after=None):
        super().__init__()
        self.inner, self.before, self.after = inner, before, after

    def forward(self, ids_BT):
        ids_BT = self.before(ids_BT) if self.before else ids_BT
        logits_BTV = self.inner(ids_BT)
        return self.after(logits_BTV) if self.after else logits_BTV


def model(change=None, before=None, after=None):
    def make(vocab_size, max_length, dropout):
        inner = ours.model(vocab_size, max_length, dropout)
        for module in inner.modules():
            if change:
                change(module)
        return Wrapped(inner, before, after)

    return make


def sees_padding(ids_BT):
    """[PAD] is taken for a word."""
    return ids_BT.masked_fill(ids_BT == PAD, FIRST)


class Causal(nn.Module):
    """An attention that looks back only, or only ahead."""

    def __init__(self, inner, ahead=False):
        super().__init__()
        self.inner, self.ahead = inner, ahead
        self.output = inner.output

    def forward(self, x_BSD, real_BS=None, need_weights=False, at_BT=None):
        rows = []
        for t in range(x_BSD.shape[1]):
            part = slice(t, None) if self.ahead else slice(0, t + 1)
            real = None if real_BS is None else real_BS[:, part]
            mixed = self.inner(x_BSD[:, part], real)[0]
            rows.append(mixed[:, :1] if self.ahead else mixed[:, -1:])
        return torch.cat(rows, dim=1), None


def causal(ahead):
    def change(module):
        if isinstance(module, layers.EncoderBlock):
            module.attention = Causal(module.attention, ahead)

    return change


def without_positions(module):
    if isinstance(module, layers.SelfAttention):
        module.rotary = False


def view_alone(module):
    """Heads are cut without the transpose."""
    if isinstance(module, layers.SelfAttention):
        module.split_heads = lambda x, m=module: x.reshape(
            x.shape[0], m.n_heads, x.shape[1], -1
        )


def idle_feed_forward(module):
    if isinstance(module, layers.EncoderBlock):
        module.feed_forward.forward = torch.zeros_like


def always_dropping(module):
    if type(module).__name__ == "FastDropout":
        module.forward = lambda x, p=module.p: F.dropout(x, p, training=True)


def never_dropping(module):
    if type(module).__name__ == "FastDropout":
        module.forward = lambda x: x


def large_start(module):
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight)


def detached(module):
    if isinstance(module, layers.EncoderBlock):
        module.register_forward_pre_hook(lambda m, args: (args[0].detach(), *args[1:]))


def cloned(module):
    """Equal at first, but not one parameter."""
    if hasattr(module, "decoder"):
        module.decoder.weight = nn.Parameter(module.decoder.weight.detach().clone())


class CopiesEach(Wrapped):
    """Its copy copies each parameter by itself, so that nothing stays tied."""

    def __deepcopy__(self, memo):
        copied = CopiesEach(copy.deepcopy(self.inner, memo))
        cloned(copied.inner.head)
        return copied


def batch_centred(logits_BTV):
    return logits_BTV - logits_BTV.mean(0, keepdim=True)


MODELS = {
    "[PAD] is looked at": (model(before=sees_padding), "padding"),
    "heads are cut by view alone": (model(view_alone), "padding"),
    "the batch is averaged": (model(after=batch_centred), "rows"),
    "attention is causal": (model(causal(ahead=False)), "right"),
    "attention looks ahead only": (model(causal(ahead=True)), "left"),
    "there are no positions": (model(without_positions), "order"),
    "dropout acts in evaluation": (model(always_dropping), "repeatable"),
    "dropout never acts": (model(never_dropping), "dropout"),
    "first weights are large": (model(large_start), "knows_nothing"),
    "the feed-forward layers do nothing": (model(idle_feed_forward), "every_matrix"),
    "the gradient is cut off": (model(detached), "gradients"),
    "tied weights are a clone": (model(cloned), "tied"),
    "a copy unties the weights": (
        lambda *sizes: CopiesEach(ours.model(*sizes)),
        "tied_copy",
    ),
    "logits are those of [CLS] alone": (
        model(after=lambda x: x[:, :1]),
        "shape",
    ),
}
for what, (code, caught_by) in MODELS.items():
    fault(what, "model", caught_by)(code)


def loop(
    zero=True, step=True, train=True, mask_inputs=True, once=False, part=False,
    seeded=True, in_place=False, last_only=False,
):  # fmt: skip
    """The training loop with one line changed."""

    def run(module, ids_BT, vocab_size, steps, seed):
        draw = torch.Generator().manual_seed(seed)
        if not seeded:
            draw.seed()
        parameters = [*module.parameters()]
        optimizer = torch.optim.AdamW(parameters[1:] if part else parameters, lr=0.01)
        module.train(train)
        masked = ours.mask(ids_BT, vocab_size, draw)
        losses = []
        for _ in range(steps):
            if not once:
                masked = ours.mask(ids_BT, vocab_size, draw)
            inputs_BT, labels_BT = masked
            if in_place:
                ids_BT.copy_(inputs_BT)
            if zero:
                optimizer.zero_grad()
            logits_BTV = module(inputs_BT if mask_inputs else ids_BT)
            loss = mlm_loss(logits_BTV, labels_BT)
            loss.backward()
            if step:
                optimizer.step()
            losses.append(loss.item())
        return losses[-1:] if last_only else losses

    return run


LOOPS = {
    "only the last loss is returned": (loop(last_only=True), "losses"),
    "the optimiser makes no step": (loop(step=False), "falls"),
    "gradients pile up": (loop(zero=False), "zeroed"),
    "some parameters are left out": (loop(part=True), "all_move"),
    "the model trains in evaluation mode": (loop(train=False), "training_mode"),
    "the model reads the answers": (loop(mask_inputs=False), "hidden"),
    "the masks are drawn once": (loop(once=True), "new_masks"),
    "the text is masked more and more": (loop(in_place=True), "text_left"),
    "the masks are not seeded": (loop(seeded=False), "repeatable"),
}
for what, (code, caught_by) in LOOPS.items():
    fault(what, "train", caught_by)(code)
