"""A model that reads byte pairs, in the explorer: its words of one token or several."""

from dataclasses import replace

import pytest
import torch
from explored import MODELS, TOKENIZER, Explored, Page, near
from tiny import tiny_model

from explorer.knockout import without_heads, without_words
from explorer.predict import fill_mask, guess_chance, predict_each
from explorer.vocabulary import encode_words
from helpers.bpe import BPETokenizer
from helpers.model import MaskedLanguageModel
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS

WORDS = "the cat and dog saw ship".split()
PIECES = BPETokenizer.train([" ".join(WORDS)] * 9 + [" the cat"] * 9, 17)
TEXT = "the cat and the ship saw"  # of which "ship" has several pieces
MODEL = tiny_model(len(PIECES), 2)
BEGINS = [token.startswith(b" ") for token in PIECES.tokens]
WHOLE = torch.tensor([len(t.strip()) > 0 and t.decode("utf-8", "ignore").encode() == t for t in PIECES.tokens])
