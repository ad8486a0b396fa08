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
# A change of the right code, the end of its check's name, and what is wrong.
TABLES = {
    "tokenizer": """\
self.ids.get(word, UNK) => FIRST + len(word) ✗ distinct: a word's id is its length
FIRST)} => 0)} ✗ specials: words are numbered from 0
FIRST)} => FIRST + 1)} ✗ size: words are numbered from 6
i - FIRST => i - FIRST - 1 ✗ decode: decode reads the table one row off
word, UNK => word, FIRST ✗ unknown: an unknown word becomes the most frequent one
sorted(counts, key=lambda word: (-counts[word], word)) => sorted(counts)
    ✗ frequent: the first words of the alphabet are kept
(-counts[word], word) => -counts[word] ✗ ties: ties go to the word that comes first
self.ids = => self.ids = {"[MASK]": MASK} | ✗ typed_mask: special tokens can be typed
""",
    "mask": """\
chosen_BT & (fate_BT < 0.9) => chosen_BT & (torch.rand(**how) < 0.1)
    | chosen_BT & (fate_BT < 0.8) => chosen_BT & (seen_BT == ids_BT) & (fate_BT < 0.9)
    ✗ masked: two draws give 81/10/9 (lucidrains/mlm-pytorch#6)
chosen_BT & (fate_BT < 0.9) => chosen_BT ✗ kept: no chosen word stays as it is
chosen_BT & (fate_BT < 0.8) => chosen_BT
    ✗ random: chosen words always become [MASK]
0.15 => 0.2 ✗ rate: the rate is 20 %
(ids_BT >= FIRST) & => ✗ specials: special tokens are chosen
randint(FIRST, => randint(0, ✗ random_ids: random words include the specials
vocab_size, ** => 100, ** ✗ vocabulary: random words are the first hundred
return seen_BT, labels_BT => return seen_BT, seen_BT.masked_fill(~chosen_BT, IGNORE)
    ✗ labels: labels are taken after the replacement
return seen_BT, labels_BT => return seen_BT, ids_BT
    ✗ unlabelled: every position has a label
return seen_BT, => return seen_BT.masked_fill(fate_BT < 0.01, MASK),
    ✗ others: words without a label are hidden, too
return seen_BT, => return ids_BT.copy_(seen_BT),
    ✗ input: the text itself is masked
"generator": generator => "generator": torch.Generator().manual_seed(0)
    ✗ other_seed: each call draws from its own, fixed seed
"generator": generator => "generator": None ✗ seed: the generator is not used
torch.rand(**how) < 0.15 => torch.rand(len(ids_BT[0]), generator=generator) < 0.15
    ✗ rows: all rows share one mask
""",
    "attention": """\
/ q_BHTK.shape[-1] ** 0.5 => ✗ weights: scores are not scaled
/ q_BHTK.shape[-1] ** 0.5 => / q_BHTK.shape[-1] ✗ weights: scores are divided by K
softmax(-1) => softmax(-2) ✗ sums: the softmax runs over the queries
v_BHSK, weights => v_BHSK, weights.mT ✗ shape: keys are labelled as queries
if real_BS is not None => if False ✗ padding: [PAD] leaks
~real_BS => real_BS ✗ words: the mask is inverted
scores.softmax(-1) =>
    (scores.isfinite() * (q_BHTK @ k_BHSK.mT / q_BHTK.shape[-1] ** 0.5).softmax(-1))
    ✗ padded_sums: the mask comes after the softmax
~real_BS[ => ~real_BS[:1][ ✗ padding: all rows take the mask of the first
~real_BS[ => ~real_BS[1:][ ✗ rows: all rows take the mask of the second
v_BHSK, weights => v_BHSK, F.dropout(weights, p)
    ✗ before_dropout: maps are returned after dropout
F.dropout(weights, p) => weights ✗ dropout: dropout is forgotten
scores.softmax(-1) => scores.exp() / scores.exp().sum(-1, keepdim=True)
    ✗ overflow: the softmax overflows
@ v_BHSK => @ k_BHSK ✗ mixed: keys are mixed in place of values
""",
    "loss": """\
costs[chosen].mean() => (costs.mean() * chosen).sum() / chosen.sum()
    ✗ unlabelled: a mask multiplies the mean, and cancels out (d2l-ai/d2l-en#2582)
costs[chosen].mean() => costs[chosen].sum() / labels_BT.numel()
    ✗ dilution: the loss divides by all positions
costs[chosen] => costs ✗ mean: unselected positions count
labels_BT != IGNORE => labels_BT > 0 ✗ labels: ignore_index is a class
costs[chosen].mean() => torch.stack(
    [row[own].mean() for row, own in zip(costs, chosen) if own.any()]).mean()
    ✗ mean: rows are averaged, then the batch
.mean() => .mean() / math.log(2) ✗ nats: the loss is in bits
logits_BTV.mT => logits_BTV.mT.softmax(1) ✗ logits: a softmax stands before the loss
""",
    "model": """\
ids_BT != PAD => ids_BT >= PAD ✗ padding: [PAD] is looked at
.view(B, T, 4, 8).transpose(1, 2) => .reshape(B, 4, T, 8)
    ✗ padding: heads are cut by view alone
return self.decoder(x_BTD) => return self.decoder(x_BTD - x_BTD.mean(0))
    ✗ rows: the batch is averaged
.expand(B, T, T) => .expand(B, T, T).tril() ✗ right: attention is causal
.expand(B, T, T) => .expand(B, T, T).triu() ✗ left: attention looks ahead only
+ self.places.weight[:T] => ✗ order: there are no positions
self.training => True ✗ evaluation: dropout acts in evaluation
self.training => False ✗ dropout: dropout never acts
std=0.02 => std=1.0 ✗ initial_loss: first weights are large
+ self.narrow => + 0 * self.narrow ✗ matrices: the feed-forward layers do nothing
block(x_BTD, => block(x_BTD.detach(), ✗ gradients: the gradient is cut off
= self.words.weight => = nn.Parameter(self.words.weight.detach().clone())
    ✗ tied: tied weights are a clone
class Model(nn.Module) => class Model(CopiesEach)
    ✗ tied_copy: a copy unties the weights
self.decoder(x_BTD) => self.decoder(x_BTD[:, :1])
    ✗ shape: logits are those of [CLS] alone
""",
    "train": """\
return losses => return losses[-1:] ✗ losses: only the last loss is returned
optimizer.step() => pass ✗ falls: the optimiser makes no step
optimizer.zero_grad() => pass ✗ zeroed: gradients pile up
module.parameters() => [*module.parameters()][1:]
    ✗ parameters: some parameters are left out
module.train() => module.eval() ✗ mode: the model trains in evaluation mode
module(inputs_BT) => module(ids_BT) ✗ masking: the model reads the answers
mask(ids_BT, vocab_size, draw) => mask(ids_BT, vocab_size, draw.manual_seed(seed))
    ✗ new_masks: the masks are drawn once
module(inputs_BT) => module(ids_BT.copy_(inputs_BT))
    ✗ text: the text is masked more and more
draw = torch.Generator().manual_seed(seed) => draw = torch.Generator(); draw.seed()
    ✗ seed: the masks are not seeded
""",
}


def faulty(part: str, change: str):
    """The code of a part after a change."""
    source = "\n\n".join(map(inspect.getsource, SOURCES[part]))
    exec(changed(source, change), names := {**globals()})
    return names[SOURCES[part][-1].__name__]


FAULTS = {
    what: (part, faulty(part, change), f"check_{part}_{caught_by}")
    for part, table in TABLES.items()
    for change, told in entries(table)
    for caught_by, what in [told.split(": ", 1)]
}
