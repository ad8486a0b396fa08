"""The page beside its sources: the engine and PyTorch, both tokenizers."""

import hashlib
import random
import re
import sys
import unicodedata
from dataclasses import replace

import pytest
import torch
from test_tokenizer import TYPED, UNKIND
from tiny import knowing, scattered, tiny_model

from explorer.attention_plots import attention_rollout
from explorer.knockout import without_heads, without_words
from explorer.page.build import HERE, page_source
from explorer.page.node import NODE, node_model, node_question, run_in_node
from explorer.page.packed_weights import (
    BASE,
    FINE,
    pack_numbers,
    unpacked_copy,
    unpacked_numbers,
)
from explorer.page.wasm import assemble_wasm, kernel_wasm, wasm_signed, wasm_unsigned
from explorer.predict import fill_mask
from helpers.model import MaskedLanguageModel
from helpers.text import split_words
from helpers.tokenizer import WordTokenizer

needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")
WORDS = "the cat and dog saw a big ship . in of to was her his".split()
SENTENCES = [
    "the cat and the dog saw the big ship .",
    "a dog",
    "cat",
    "her dog was in the ship of his cat and the cat of her dog saw the ship .",
    " ".join(WORDS * 4),
]
TOKENIZER = knowing(WORDS)


# The kernel, and weights as text.


def test_the_assembler_writes_what_wat2wasm_writes():
    """The digest is that of the bytes that wabt 1.0.39 makes of the same text."""
    wabt = "894be7de1e281c5d317e50dc6351707f8f30bc3ceec391bcd9fca7fbeb9afbd2"
    assert hashlib.sha256(kernel_wasm()).hexdigest() == wabt


def test_numbers_are_written_as_webassembly_wants_them():
    written = {0: "00", 63: "3f", 64: "c000", -1: "7f", -64: "40", -65: "bf7f"}
    assert {n: wasm_signed(n).hex() for n in written} == written
    assert wasm_unsigned(624_485).hex() == "e58e26"
    unknown = '(module (import "a" "b" (memory 1)) (func $f (export "f") (f32.sqrt)))'
    with pytest.raises(ValueError, match="does not know 'f32.sqrt'"):
        assemble_wasm(unknown)


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_numbers_come_back_from_their_text(digits):
    numbers = torch.linspace(-1, 1, 997)
    text = pack_numbers(numbers, digits)
    assert len(text) == 997 * digits and re.fullmatch(r"[!-;=-~]+", text)
    apart = (unpacked_numbers(numbers, digits) - numbers).abs().max()
    assert apart <= 1.001 / (BASE**digits - 1)


# The engine beside PyTorch.

SIZES = [{}, {"n_heads": 4}, {"n_heads": 1, "n_layers": 1}]
SIZES += [{"vocab_size": 18, "tied": False}]  # no multiple of four


@needs_node
@pytest.mark.parametrize("digits, simd", [(1, True), (FINE, True), (FINE, False)])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_answer_is_that_of_pytorch(digits, simd, sizes):
    """With the weights as the page reads them, so that what they cost can be said."""
    start = tiny_model(len(TOKENIZER)).config
    given = scattered(MaskedLanguageModel(replace(start, max_length=64, **sizes)), 0.3)
    expand = given.blocks[0].feed_forward.expand.weight.data
    expand *= torch.logspace(-2, 0, len(expand))[:, None]  # scales of few digits
    model = unpacked_copy(given.eval(), digits)
    tokenizer = WordTokenizer(TOKENIZER.words[: model.config.vocab_size])
    predictions, questions = [], []
    for words in map(str.split, SENTENCES):
        for position in sorted({0, len(words) // 2, len(words) - 1}):
            prediction = fill_mask(model, tokenizer, words, position)
            predictions.append(prediction)
            asked = tokenizer, words, position, prediction.target
            questions.append(node_question(*asked))
    packed = node_model(given, digits)
    answers = run_in_node(simd, model=packed, questions=questions)["readings"]
    for prediction, answer in zip(predictions, answers, strict=True):
        at = prediction.position + 1
        for name, expected in (
            ("chance_V", prediction.chance_V),
            ("looks_NHS", prediction.weights_NHTS[:, :, at]),
            ("rollout_S", attention_rollout(prediction.weights_NHTS)[at]),
            ("chance_W", without_words(model, tokenizer, prediction)),
            ("chance_NH", without_heads(model, tokenizer, prediction)),
        ):
            found = torch.tensor(answer[name]).flatten().tolist()
            assert found == pytest.approx(expected.flatten().tolist(), abs=1e-4), name


def test_the_engine_stays_readable():
    lines = page_source("engine.js").splitlines()
    assert len(lines) <= 200 and max(map(len, lines)) <= 110
    for name in ("product", "worker", "view", "more"):
        assert len(page_source(f"{name}.js").splitlines()) <= 300, name
    files = (path.read_text("utf-8") for path in HERE.iterdir() if path.is_file())
    outside = r"fetch\(|XMLHttp|https?://(?!creativecommons|github)"
    assert not re.search(outside, "".join(files))


# The tokenizer beside Python's.


def require_same_words(texts: list[str]) -> None:
    """Both tokenizers split texts alike."""
    for text, words in zip(texts, run_in_node(texts=texts)["words"], strict=True):
        assert words == split_words(text), ascii(text[:80])


@needs_node
def test_unkind_texts_and_odd_signs_are_split_as_in_python():
    require_same_words(UNKIND + [typed for typed, *_ in TYPED])
    draw = random.Random(0)
    signs = [*"ab7é🇩🇪👍🏽☕,-;_ˑष’ '“”.", "...", "___", "[MASK]", "<unk>", "No.", "Jr."]
    signs += [*"\u200b\u200c\u200d\u0301\u094d\u3164\x1c"]
    require_same_words(["".join(draw.choices(signs, k=8)) for _ in range(5_000)])


@needs_node
def test_every_character_is_split_as_in_python():
    """Of those that have not changed since this Python's version of Unicode."""
    characters = [chr(i) for i in range(sys.maxunicode + 1)]
    known = [c for c in characters if unicodedata.category(c) not in ("Cn", "Cs", "Co")]
    require_same_words([f"a{c}1 {c}.{c}" for c in known])


@needs_node
def test_every_validation_line_is_split_as_in_python(wikitext):
    require_same_words(wikitext.validation)
