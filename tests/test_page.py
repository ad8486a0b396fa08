"""The explorer in one page: its engine beside PyTorch, and the page in a browser."""

import hashlib
import random
import re
import sys
import unicodedata

import pytest
import torch
from test_tokenizer import TYPED, UNKIND

from explorer.attention_plots import rollout
from explorer.knockout import without_heads, without_words
from explorer.page.assemble import assemble, signed, unsigned
from explorer.page.build import HERE, kernel, source
from explorer.page.node import NODE, asked, packed, run
from explorer.page.pack import BASE, FINE, as_read, encode, rounded
from explorer.predict import fill_mask
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.text import split_words
from helpers.tokenizer import SPECIALS, WordTokenizer

needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")
WORDS = "the cat and dog saw a big ship . in of to was her his".split()
SENTENCES = [
    "the cat and the dog saw the big ship .",
    "a dog",
    "cat",
    "her dog was in the ship of his cat and the cat of her dog saw the ship .",
    " ".join(WORDS * 4),
]


def tiny(seed: int = 0, **sizes) -> MaskedLanguageModel:
    """A model with weights far from even, so that mistakes show."""
    torch.manual_seed(seed)
    chosen = {"vocab_size": 20, "n_layers": 2, "n_heads": 2, "d_model": 16, "d_ff": 32}
    model = MaskedLanguageModel(ModelConfig(**chosen | sizes)).eval()
    for weight in model.parameters():
        weight.data = weight.data * 5 + 0.1 * torch.randn_like(weight)
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer([*SPECIALS, *WORDS])


# The kernel, and weights as text.


def test_the_assembler_writes_what_wat2wasm_writes():
    """The digest is that of the bytes that wabt 1.0.39 makes of the same text."""
    assert hashlib.sha256(kernel()).hexdigest() == WABT


WABT = "894be7de1e281c5d317e50dc6351707f8f30bc3ceec391bcd9fca7fbeb9afbd2"


@pytest.mark.parametrize(
    "n, written",
    [(0, "00"), (63, "3f"), (64, "c000"), (-1, "7f"), (-64, "40"), (-65, "bf7f")],
)
def test_numbers_are_written_as_webassembly_wants_them(n, written):
    assert signed(n).hex() == written
    assert unsigned(624_485).hex() == "e58e26"


def test_an_unknown_instruction_is_named():
    with pytest.raises(ValueError, match="does not know 'f32.sqrt'"):
        assemble(
            '(module (import "a" "b" (memory 1)) (func $f (export "f") (f32.sqrt)))'
        )


@needs_node
@pytest.mark.parametrize("simd", [True, False])
@pytest.mark.parametrize("rows, outs, depth", [(4, 4, 4), (8, 12, 20), (28, 8, 256)])
def test_both_products_are_that_of_pytorch(simd, rows, outs, depth):
    torch.manual_seed(0)
    x, w, bias = torch.randn(rows, depth), torch.randn(outs, depth), torch.randn(outs)
    sizes = {"rows": rows, "outs": outs, "depth": depth}
    given = {"x": x, "w": w, "bias": bias}
    given = {name: array.flatten().tolist() for name, array in given.items()} | sizes
    (y,) = run(simd, products=[given])["products"]
    assert y == pytest.approx((x @ w.T + bias).flatten().tolist(), abs=1e-4)


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_numbers_come_back_from_their_text(digits):
    numbers = torch.linspace(-1, 1, 997)
    text = encode(numbers, digits)
    assert len(text) == 997 * digits and re.fullmatch(r"[!-;=-~]+", text)
    assert (rounded(numbers, digits) - numbers).abs().max() <= 1.001 / (
        BASE**digits - 1
    )


@needs_node
@pytest.mark.parametrize("digits", [1, 3])
def test_the_page_reads_the_weights_that_python_says_it_reads(digits, tokenizer):
    """So that what Python measures of `as_read` holds for the page."""
    model = tiny()
    words = SENTENCES[0].split()
    read = fill_mask(as_read(model, digits), tokenizer, words, 2)
    (answer,) = run(
        model=packed(model, digits), questions=[asked(tokenizer, words, 2, None)]
    )["readings"]
    assert answer["chance_V"] == pytest.approx(read.chance_V.tolist(), abs=1e-4)


# The engine beside PyTorch.


@needs_node
@pytest.mark.parametrize("simd", [True, False])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"n_heads": 4},
        {"n_heads": 1, "n_layers": 1},
        {"vocab_size": 18, "tied": False},
    ],
)
def test_every_answer_is_that_of_pytorch(simd, sizes):
    """Also of vocabularies that are no multiple of four, and of one layer."""
    model = as_read(tiny(1, **sizes), FINE)
    tokenizer = WordTokenizer([*SPECIALS, *WORDS][: model.config.vocab_size])
    predictions, questions = [], []
    for text in SENTENCES:
        words = text.split()
        for position in sorted({0, len(words) // 2, len(words) - 1}):
            prediction = fill_mask(model, tokenizer, words, position)
            predictions.append(prediction)
            questions.append(asked(tokenizer, words, position, prediction.target))
    answers = run(simd, model=packed(model, FINE), questions=questions)["readings"]
    for prediction, answer in zip(predictions, answers, strict=True):

        def same(name, expected, answer=answer):
            found = torch.tensor(answer[name]).flatten().tolist()
            assert found == pytest.approx(expected.flatten().tolist(), abs=1e-4), name

        at = prediction.position + 1
        same("chance_V", prediction.chance_V)
        same("looks_NHS", prediction.weights_NHTS[:, :, at])
        same("rollout_S", rollout(prediction.weights_NHTS)[at])
        same("chance_W", without_words(model, tokenizer, prediction))
        same("chance_NH", without_heads(model, tokenizer, prediction))


def test_the_engine_stays_readable():
    lines = source("engine.js").splitlines()
    assert len(lines) <= 200 and max(map(len, lines)) <= 110
    for name in ("product", "worker", "view", "more"):
        assert len(source(f"{name}.js").splitlines()) <= 300, name
    everything = "".join(
        path.read_text("utf-8") for path in HERE.iterdir() if path.is_file()
    )
    assert not re.search(
        r"fetch\(|XMLHttp|https?://(?!creativecommons|github)", everything
    )


# The tokenizer beside Python's.

RESPELT = [  # whose words are not spelt as they were typed
    "Z\u0351\u036balgo\u0300\u0301\u0302 x\u030c.y e\u0329\u0301 ːˑː",
    "½ ² Ⅷ ٣,٤ 3.5 1,000,000 x² a.b.c U.S. A.1",
]


def same_words(texts: list[str]) -> None:
    """Both tokenizers split texts alike."""
    for text, words in zip(texts, run(texts=texts)["words"], strict=True):
        assert words == split_words(text), ascii(text[:80])


@needs_node
def test_unkind_texts_are_split_as_in_python():
    same_words(UNKIND + RESPELT + [typed for typed, *_ in TYPED])


@needs_node
def test_odd_signs_are_split_as_in_python():
    draw = random.Random(0)
    signs = [
        *"ab7é🇩🇪👍🏽☕,-;_ˑष'’“”.",
        "...",
        "___",
        "[MASK]",
        "<unk>",
        " ",
        "No.",
        "Jr.",
    ]
    signs += [*"\u200b\u200c\u200d\u0301\u094d\u3164\x1c"]
    same_words(["".join(draw.choices(signs, k=8)) for _ in range(5_000)])


@needs_node
def test_every_character_is_split_as_in_python():
    """Of those that have not changed since this Python's version of Unicode."""
    characters = [chr(i) for i in range(sys.maxunicode + 1)]
    known = [c for c in characters if unicodedata.category(c) not in ("Cn", "Cs", "Co")]
    texts = [f"a{c}1 {c}.{c}" for c in known]
    found = run(texts=texts)["words"]
    differ = [
        c
        for c, text, words in zip(known, texts, found, strict=True)
        if words != split_words(text)
    ]
    assert [*map(ascii, differ)] == []


@needs_node
def test_every_validation_line_is_split_as_in_python(wikitext):
    same_words(wikitext.validation)
