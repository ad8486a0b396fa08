"""Parts of a masked model in plain code, and the faults that the grader has to catch.

The parts are written apart from the series, so that no check depends on how ours are.
`FAULTS` holds, for each fault, its part, the faulty code, and the check of
`notebooks/grader` that has to fail. Most faults are of published code.
"""

import inspect
import math
from collections import Counter

import torch
from edits import changed, entries
from torch import nn
from torch.nn import functional as F

from helpers.masking import IGNORE
from helpers.tokenizer import MASK, PAD, SPECIALS, UNK
from notebooks.grader import PARTS, Adapters

FIRST = len(SPECIALS)


class Tokenizer:
    def __init__(self, lines, vocab_size):
        counts = Counter(word for line in lines for word in line.split())
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        self.words = ranked[: vocab_size - FIRST]
        self.ids = {word: i for i, word in enumerate(self.words, FIRST)}

    def encode(self, words):
        return [self.ids.get(word, UNK) for word in words]

    def decode(self, ids):
        return " ".join(self.words[i - FIRST] for i in ids)


def mask(ids_BT, vocab_size, generator):
    how = {"size": ids_BT.shape, "generator": generator}
    chosen_BT = (ids_BT >= FIRST) & (torch.rand(**how) < 0.15)
    labels_BT = ids_BT.masked_fill(~chosen_BT, IGNORE)
    fate_BT, word_BT = torch.rand(**how), torch.randint(FIRST, vocab_size, **how)
    seen_BT = torch.where(chosen_BT & (fate_BT < 0.9), word_BT, ids_BT)
    seen_BT = seen_BT.masked_fill(chosen_BT & (fate_BT < 0.8), MASK)
    return seen_BT, labels_BT


def attention(q_BHTK, k_BHSK, v_BHSK, real_BS, p):
    scores = q_BHTK @ k_BHSK.mT / q_BHTK.shape[-1] ** 0.5
    if real_BS is not None:
        scores = scores.masked_fill(~real_BS[:, None, None, :], -math.inf)
    weights = scores.softmax(-1)
    return F.dropout(weights, p) @ v_BHSK, weights


def loss(logits_BTV, labels_BT):
    chosen = labels_BT != IGNORE
    costs = F.cross_entropy(logits_BTV.mT, labels_BT.clamp(min=0), reduction="none")
    return costs[chosen].mean()


class Block(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p, self.project, self.join = p, nn.Linear(32, 96), nn.Linear(32, 32)
        self.norm, self.wide = nn.LayerNorm(32), nn.Linear(32, 64)
        self.narrow = nn.Linear(64, 32)

    def forward(self, x_BTD, real_BTT):
        B, T, D = x_BTD.shape
        parts = self.project(x_BTD).split(D, -1)
        q, k, v = (part.view(B, T, 4, 8).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, real_BTT[:, None])
        mixed = self.join(mixed.transpose(1, 2).reshape(B, T, D))
        x_BTD = x_BTD + F.dropout(mixed, self.p, self.training)
        return x_BTD + self.narrow(self.wide(self.norm(x_BTD)).relu())


class Model(nn.Module):
    def __init__(self, vocab_size, max_length, p):
        super().__init__()
        self.words = nn.Embedding(vocab_size, 32)
        self.places = nn.Embedding(max_length, 32)
        self.blocks = nn.ModuleList([Block(p), Block(p)])
        self.decoder = nn.Linear(32, vocab_size)
        nn.init.normal_(self.words.weight, std=0.02)
        self.decoder.weight = self.words.weight

    def forward(self, ids_BT):
        B, T = ids_BT.shape
        real_BTT = (ids_BT != PAD)[:, None].expand(B, T, T)
        x_BTD = self.words(ids_BT) + self.places.weight[:T]
        for block in self.blocks:
            x_BTD = block(x_BTD, real_BTT)
        return self.decoder(x_BTD)


class CopiesEach(nn.Module):  # of one fault
    """Its copy gets each weight by itself, so that nothing stays tied."""

    def __deepcopy__(self, memo):
        copied = Model(self.words.num_embeddings, self.places.num_embeddings, 0.0)
        weights = {name: w.clone() for name, w in self.state_dict().items()}
        copied.load_state_dict(weights, assign=True)
        return copied


def train(module, ids_BT, vocab_size, steps, seed):
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    module.train()
    losses = []
    for _ in range(steps):
        inputs_BT, labels_BT = mask(ids_BT, vocab_size, draw)
        optimizer.zero_grad()
        value = loss(module(inputs_BT), labels_BT)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


RIGHT = Adapters(Tokenizer, mask, attention, loss, Model, train)
SOURCES = {part: [getattr(RIGHT, part)] for part in PARTS}
SOURCES["model"].insert(0, Block)
# Below the name of a check and what is wrong: the change of the right code.
TABLES = {
    "tokenizer": """\
distinct: a word's id is its length
    self.ids.get(word, UNK) => FIRST + len(word)
clear_of_specials: words are numbered from 0
    FIRST)} => 0)}
within_size: words are numbered from 6
    FIRST)} => FIRST + 1)}
comes_back: decode reads the table one row off
    i - FIRST => i - FIRST - 1
unknown: an unknown word becomes the most frequent one
    word, UNK => word, FIRST
frequent: the first words of the alphabet are kept
    sorted(counts, key=lambda word: (-counts[word], word)) => sorted(counts)
ties: ties go to the word that comes first
    (-counts[word], word) => -counts[word]
typed_mask: special tokens can be typed
    self.ids = => self.ids = {"[MASK]": MASK} |
""",
    "mask": """\
become_mask: two draws give 81/10/9 (lucidrains/mlm-pytorch#6)
    chosen_BT & (fate_BT < 0.9) => chosen_BT & (torch.rand(**how) < 0.1)
        | chosen_BT & (fate_BT < 0.8) =>
        chosen_BT & (seen_BT == ids_BT) & (fate_BT < 0.9)
stay: no chosen word stays as it is
    chosen_BT & (fate_BT < 0.9) => chosen_BT
become_random: chosen words always become [MASK]
    chosen_BT & (fate_BT < 0.8) => chosen_BT
rate: the rate is 20 %
    0.15 => 0.2
no_special: special tokens are chosen
    (ids_BT >= FIRST) & =>
random_special: random words include the specials
    randint(FIRST, => randint(0,
whole_vocabulary: random words are the first hundred
    vocab_size, ** => 100, **
true_labels: labels are taken after the replacement
    return seen_BT, labels_BT => return seen_BT, seen_BT.masked_fill(~chosen_BT, IGNORE)
few_labels: every position has a label
    return seen_BT, labels_BT => return seen_BT, ids_BT
others_stay: words without a label are hidden, too
    return seen_BT, => return seen_BT.masked_fill(fate_BT < 0.01, MASK),
left_alone: the text itself is masked
    return seen_BT, => return ids_BT.copy_(seen_BT),
other_seed: each call draws from its own, fixed seed
    "generator": generator => "generator": torch.Generator().manual_seed(0)
repeatable: the generator is not used
    "generator": generator => "generator": None
own_rows: all rows share one mask
    torch.rand(**how) < 0.15 => torch.rand(len(ids_BT[0]), generator=generator) < 0.15
""",
    "attention": """\
weights: scores are not scaled
    / q_BHTK.shape[-1] ** 0.5 =>
weights: scores are divided by K
    / q_BHTK.shape[-1] ** 0.5 => / q_BHTK.shape[-1]
sums: the softmax runs over the queries
    softmax(-1) => softmax(-2)
shape: keys are labelled as queries
    v_BHSK, weights => v_BHSK, weights.mT
no_padding: [PAD] leaks
    if real_BS is not None => if False
real_words: the mask is inverted
    ~real_BS => real_BS
padded_sums: the mask comes after the softmax
    scores.softmax(-1) => (scores.isfinite()
        * (q_BHTK @ k_BHSK.mT / q_BHTK.shape[-1] ** 0.5).softmax(-1))
no_padding: all rows take the mask of the first
    ~real_BS[ => ~real_BS[:1][
other_row: all rows take the mask of the second
    ~real_BS[ => ~real_BS[1:][
before_dropout: maps are returned after dropout
    v_BHSK, weights => v_BHSK, F.dropout(weights, p)
dropout_acts: dropout is forgotten
    F.dropout(weights, p) => weights
large_scores: the softmax overflows
    scores.softmax(-1) => scores.exp() / scores.exp().sum(-1, keepdim=True)
mixed: keys are mixed in place of values
    @ v_BHSK => @ k_BHSK
""",
    "loss": """\
others: a mask multiplies the mean, and cancels out (d2l-ai/d2l-en#2582)
    costs[chosen].mean() => (costs.mean() * chosen).sum() / chosen.sum()
dilution: the loss divides by all positions
    costs[chosen].mean() => costs[chosen].sum() / labels_BT.numel()
mean: unselected positions count
    costs[chosen] => costs
every_word: ignore_index is a class
    labels_BT != IGNORE => labels_BT > 0
mean: rows are averaged, then the batch
    costs[chosen].mean() => torch.stack(
        [row[own].mean() for row, own in zip(costs, chosen) if own.any()]).mean()
nats: the loss is in bits
    .mean() => .mean() / math.log(2)
logits: a softmax stands before the loss
    logits_BTV.mT => logits_BTV.mT.softmax(1)
""",
    "model": """\
padding: [PAD] is looked at
    ids_BT != PAD => ids_BT >= PAD
padding: heads are cut by view alone
    .view(B, T, 4, 8).transpose(1, 2) => .reshape(B, 4, T, 8)
rows: the batch is averaged
    return self.decoder(x_BTD) => return self.decoder(x_BTD - x_BTD.mean(0))
right: attention is causal
    .expand(B, T, T) => .expand(B, T, T).tril()
left: attention looks ahead only
    .expand(B, T, T) => .expand(B, T, T).triu()
order: there are no positions
    + self.places.weight[:T] =>
repeatable: dropout acts in evaluation
    self.training => True
dropout: dropout never acts
    self.training => False
knows_nothing: first weights are large
    std=0.02 => std=1.0
every_matrix: the feed-forward layers do nothing
    + self.narrow => + 0 * self.narrow
gradients: the gradient is cut off
    block(x_BTD, => block(x_BTD.detach(),
tied: tied weights are a clone
    = self.words.weight => = nn.Parameter(self.words.weight.detach().clone())
tied_copy: a copy unties the weights
    class Model(nn.Module) => class Model(CopiesEach)
shape: logits are those of [CLS] alone
    self.decoder(x_BTD) => self.decoder(x_BTD[:, :1])
""",
    "train": """\
losses: only the last loss is returned
    return losses => return losses[-1:]
falls: the optimiser makes no step
    optimizer.step() => pass
zeroed: gradients pile up
    optimizer.zero_grad() => pass
all_move: some parameters are left out
    module.parameters() => [*module.parameters()][1:]
training_mode: the model trains in evaluation mode
    module.train() => module.eval()
hidden: the model reads the answers
    module(inputs_BT) => module(ids_BT)
new_masks: the masks are drawn once
    mask(ids_BT, vocab_size, draw) => mask(ids_BT, vocab_size, draw.manual_seed(seed))
text_left: the text is masked more and more
    module(inputs_BT) => module(ids_BT.copy_(inputs_BT))
repeatable: the masks are not seeded
    draw = torch.Generator().manual_seed(seed) => draw = torch.Generator(); draw.seed()
""",
}


def faulty(part: str, change: str):
    """The code of a part after a change."""
    source = "\n\n".join(map(inspect.getsource, SOURCES[part]))
    exec(changed(source, change), names := {**globals()})
    return names[SOURCES[part][-1].__name__]


FAULTS = {
    what: (part, faulty(part, change), caught_by)
    for part, table in TABLES.items()
    for heading, change in entries(table)
    for caught_by, what in [heading.split(": ", 1)]
}
