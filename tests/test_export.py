"""An exported model in the world's tools: the same ids, scores and attention."""

import json
import random
import re
import subprocess
import sys
from unicodedata import category

import pytest
import torch
from tiny import scattered

transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline  # noqa: E402

from explorer.predict import fill_mask  # noqa: E402
from helpers import ROOT  # noqa: E402
from helpers.bpe import BPETokenizer  # noqa: E402
from helpers.checkpoint import load_model  # noqa: E402
from helpers.model import MaskedLanguageModel, ModelConfig  # noqa: E402
from helpers.record import read  # noqa: E402
from helpers.text import MARKS, join_words, split_words  # noqa: E402
from helpers.tokenizer import MASK, PAD, SPECIALS, UNK, WordTokenizer  # noqa: E402
from interop.bert import from_bert  # noqa: E402
from interop.export import export, main  # noqa: E402
from interop.text import changed, normaliser_rules, tokenizer_file  # noqa: E402

MODEL, TOKENIZER, _ = load_model(ROOT / "weights" / "dropout.safetensors")
WORDS = tokenizer_file(TOKENIZER)
HOSTILE = [
    "",
    " \n\t",
    "\0",
    "I don't think it's John's state-of-the-art car; 1,000,000 men ran 3.5 km.",
    "'Hello,' she said. 'I don't!' (see [1]) the Knights' coach, rock 'n' roll",
    "Dr. J. Smith left the U.S. No. 5, Jones Jr. was. About.com. first- and second",
    "I’m ‘Bob’, a “star” now … “ alone ” – ‘ alone ’",
    "<unk>-based, 25,<unk> <unk>'s <b>bold</b> &amp;",
    "cafe\u200b\u0301, a\u0323\u3164\u0302 ; \ufeffThe co\u00adop \u2060is",
    "😀👨‍👩‍👧 🏳️‍🌈 🇩🇪🇫🇷🇩🇪!🇩 👍🏽👍 1️⃣ ❤️ 🏴\U000e0067\U000e0062\U000e007f x\U000e0067",
    "हिन्दी சிங்கம் ภาษาไทย שָׁלוֹם مُحَمَّد می‌خواهم क्‍ष , ‍a ... ‍☕ b–‍Mr. ːˑː",
    "你好,世界。 ½ ² Ⅷ ٣,٤ a_b __init__ ___",
    "a\u001cb\u0085c\u2028d\u3000e\u180ef",
    "word " * 2_000,
    "x" * 20_000,
    "'x" * 5_000,
    "' " * 5_000,
    "'a " * 5_000,
    "A." * 5_000 + "!",
    "\u200d " * 5_000,
    "1," * 5_000,
    "a\u200d" * 5_000,
]
TEXTS = [
    "She was born in London, and [MASK] first album was released in 2005.",
    "He did not [MASK].",
    "The [MASK] began in the winter, and by the end of the year it was over.",
]


def ids(library, texts) -> list[list[int]]:
    """Ids by the library, without special tokens."""
    return [e.ids for e in library.encode_batch(texts, add_special_tokens=False)]


def ours(tokenizer, texts) -> list[list[int]]:
    return [tokenizer.encode(text) for text in texts]


# The tokenizer's file.


def test_every_validation_line_gets_the_same_ids(wikitext):
    lines = wikitext.validation
    assert ids(WORDS, lines) == ours(TOKENIZER, lines)
    typed = [join_words(line.split()) for line in lines]
    assert ids(WORDS, typed) == ours(TOKENIZER, typed)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_text_gets_the_same_ids(text):
    assert ids(WORDS, [text]) == ours(TOKENIZER, [text])


def pieces(text: str) -> list[str]:
    """The words of a text by the library, whichever are known."""
    text = WORDS.normalizer.normalize_str(text)
    return [word for word, _ in WORDS.pre_tokenizer.pre_tokenize_str(text)]


# What belongs to the character before it.
ATTACHED = {*MARKS, *"ˑ🏻🏼🏽🏾🏿\u200c\u200d", *map(chr, range(0xE0020, 0xE0080))}


def both(text: str) -> tuple[list[str], list[str]]:
    """The words by the library and by us; those with marks, which no vocabulary has,
    are not told apart.
    """
    one, other = (
        ["[UNK]" if {*word} & ATTACHED else word for word in words]
        for words in (pieces(text), split_words(text))
    )
    return one, other


def test_random_signs_are_cut_at_the_same_places():
    draw = random.Random(0)
    signs = [
        *"ab7é🇩🇪👍🏽☕,-;_ष–.'\"M",
        "...",
        "___",
        "<unk>",
        " ",
        "Mr.",
        "No.",
        "U.S.",
    ]
    signs += [*"\u200b\u0301\u094d\u3164\u00ad\U000e0067\U000e0001\ufe0f\u2028\x1c🏴"]
    for i in range(20_000):
        # Joiners are not beside typographic quotation marks, as the module says.
        more = [*"\u200c\u200d"] if i % 2 else [*"’“”‘"]
        text = "".join(draw.choices(signs + more, k=8))
        one, other = both(text)
        assert one == other, ascii(text)


def test_what_differs_is_what_the_module_names():
    assert ids(WORDS, ["x[MASK]y [MA\u00adSK]"]) == [[UNK, MASK, UNK, MASK]]
    assert TOKENIZER.encode("x[MASK]y") == [UNK, UNK, UNK]
    with pytest.raises((TypeError, UnicodeEncodeError)):
        WORDS.encode("\ud800")
    # A character that both know is of the same kind to both.
    known = (c for c in map(chr, range(0x30000)) if category(c) not in ("Cn", "Cs"))
    assert [c for c in known if len({*map(tuple, both(f"a{c}b"))}) > 1] == []


def test_a_vocabulary_that_the_file_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="cannot hold the word 'न"):
        tokenizer_file(WordTokenizer([*SPECIALS, "the", "न\u0941"]))
    twice = BPETokenizer([(5, 5), (261, 5), (5, 261)])
    with pytest.raises(ValueError, match="Two merges make"):
        tokenizer_file(twice)
    with pytest.raises(TypeError, match="is a str; give a WordTokenizer"):
        tokenizer_file("words")
    with pytest.raises(ValueError, match="does not hold 'b' once"):
        changed("abb", "b", "c")
    assert len(normaliser_rules()) == 11


def test_the_byte_pair_tokenizer_gets_the_same_ids_and_its_text_back(wikitext):
    tokenizer = BPETokenizer.train(wikitext.train[:3_000], 1_000)
    library = tokenizer_file(tokenizer)
    texts = [*wikitext.validation, *HOSTILE, "a  b\n\n c ", "<unk><unk> <UNK> <unk"]
    found = ids(library, texts)
    assert found == ours(tokenizer, texts)
    for text, row in zip(texts, found, strict=True):
        if "<unk>" not in text:
            assert library.decode(row) == text
    assert library.encode("a [MASK]").ids[-2:] == [MASK, 3]


# The folder.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("hub") / "dropout"
    main(["--model", "dropout", "--out", str(path)])
    return path


def opened(folder):
    """Their tokenizer and model of a folder."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    eager = {"attn_implementation": "eager"}
    return tokenizer, AutoModelForMaskedLM.from_pretrained(folder, **eager).eval()


@torch.no_grad()
def require_same_answers(folder, model, texts) -> None:
    """Logits and attention of a padded batch."""
    tokenizer, theirs = opened(folder)
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    real = batch["attention_mask"].bool()
    assert torch.equal(real, batch["input_ids"] != PAD) and not real.all()
    want, weights = model(batch["input_ids"], need_weights=True)
    got = theirs(**batch, output_attentions=True)
    gap = (got.logits - want)[real].abs().max() / want[real].abs().max()
    assert gap < 1e-5
    for mine, other in zip(weights.unbind(1), got.attentions, strict=True):
        looks = (other - mine).transpose(1, 2)[real]
        # Version 4.57 has been seen 1.07e-6 apart, later ones 7e-7.
        assert looks.abs().max() < (2e-6 if transformers.__version__ < "5" else 1e-6)


def test_transformers_gives_our_scores_and_attention(folder):
    require_same_answers(folder, MODEL, TEXTS)


def test_nothing_is_missing_or_left_over(folder):
    _, about = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not about["missing_keys"] and not about["unexpected_keys"]
    assert not about["mismatched_keys"]


def test_fill_mask_gives_our_five_best_words_for_200_sentences(folder, wikitext):
    draw, asked = random.Random(0), []
    lines = [line.split() for line in wikitext.validation if 8 < len(line.split()) < 50]
    for words in draw.sample(lines, 200):
        known = [i for i, word in enumerate(words) if word in TOKENIZER.ids]
        asked.append((words, draw.choice(known)))
    texts = [" ".join([*w[:i], "[MASK]", *w[i + 1 :]]) for w, i in asked]
    fill = pipeline("fill-mask", model=str(folder), device=-1)
    for (words, i), theirs in zip(asked, fill(texts, top_k=5), strict=True):
        mine = fill_mask(MODEL, TOKENIZER, words, i)
        assert [answer["token_str"] for answer in theirs] == [w for w, _ in mine.top]
        chances = torch.tensor([answer["score"] for answer in theirs])
        want = torch.tensor([p for _, p in mine.top])
        torch.testing.assert_close(chances, want, atol=1e-3, rtol=0)  # [UNK] has some


def test_a_script_that_knows_nothing_of_us_opens_it(folder, tmp_path):
    program = """
import sys
from unicodedata import category
from transformers import pipeline
fill = pipeline("fill-mask", model=sys.argv[1])
text = "She was born in London, and [MASK] first album was released in 2005."
print([answer["token_str"] for answer in fill(text)])
assert not {"helpers", "interop", "explorer"} & sys.modules.keys()
"""
    command = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    text = TEXTS[0].replace("[MASK]", "___")
    best = [word for word, _ in fill_mask(MODEL, TOKENIZER, text).top]
    assert done.stdout.strip().splitlines()[-1] == str(best)


def test_bertviz_shows_our_attention(folder):
    pytest.importorskip("bertviz")
    from bertviz import head_view

    tokenizer, theirs = opened(folder)
    batch = tokenizer(TEXTS[0], return_tensors="pt")
    attentions = theirs(**batch, output_attentions=True).attentions
    tokens = tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
    page = head_view(attentions, tokens, html_action="return").data
    found = json.loads(re.search(r"params = (\{.*?\});? ?//", page, re.S)[1])
    shown = torch.tensor(found["attention"][0]["attn"])  # (N, H, T, S)
    with torch.no_grad():
        _, weights = MODEL(batch["input_ids"], need_weights=True)
    torch.testing.assert_close(shown, weights[0], atol=1e-5, rtol=0)
    assert found["attention"][0]["left_text"] == tokens


def test_the_card_says_what_the_record_says(folder):
    card, record = (folder / "README.md").read_text("utf-8"), read_record()
    for split in ("validation", "test"):
        for kind in ("packed", "sentences"):
            measured = record[split][kind]
            assert (
                f"| {measured['loss']:.3f} | {100 * measured['accuracy']:.1f} %" in card
            )
    assert "license: cc-by-sa-4.0" in card and "2,689,232" in card
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    }


def read_record() -> dict:
    return read(ROOT / "plots/records/dropout.json")


# Other models.

SMALL = dict(max_length=20, n_layers=2, d_model=24, n_heads=3, d_ff=20)


def random_model(config) -> MaskedLanguageModel:
    torch.manual_seed(0)
    return scattered(MaskedLanguageModel(config).eval(), 0.2)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("build", [ModelConfig, ModelConfig.bert])
def test_both_layouts_go_out_and_a_bert_comes_back(tmp_path, build, tied):
    config = build(vocab_size=len(TOKENIZER), tied=tied, **SMALL)
    model = random_model(config)
    export(model, TOKENIZER, tmp_path)
    require_same_answers(tmp_path, model, TEXTS)
    config = (tmp_path / "config.json").read_text(encoding="utf-8")
    kind = json.loads(config)["architectures"][0]
    bert = build is not ModelConfig
    assert kind == ("BertForMaskedLM" if bert else "EsmForMaskedLM")
    if bert:
        again = from_bert(tmp_path)
        batch = torch.randint(5, 99, (2, 9))
        torch.testing.assert_close(again(batch), model(batch))
        assert again.config == config or again.config.attention_dropout == 0.1


def test_a_byte_pair_model_goes_out(tmp_path):
    tokenizer = BPETokenizer.train(["the cat sat on the mat ."] * 3, 20)
    config = ModelConfig(vocab_size=len(tokenizer), **(SMALL | {"max_length": 40}))
    model = random_model(config)
    export(model, tokenizer, tmp_path)
    require_same_answers(tmp_path, model, ["the cat [MASK] on the mat .", "the mat"])


@pytest.mark.parametrize(
    "choices, said",
    [
        ({"norm": "post"}, "'rotary'; choose 'learned' with norm='post'"),
        ({"positions": "learned"}, "norm is 'pre'"),
        ({"positions": "none"}, "positions is 'none'"),
        ({"vocab_size": 7}, "2,000 words, but the model has vocab_size 7"),
    ],
)
def test_what_transformers_has_not_is_refused_by_name(tmp_path, choices, said):
    config = ModelConfig(**(SMALL | {"vocab_size": len(TOKENIZER)} | choices))
    with pytest.raises(ValueError, match=said):
        export(MaskedLanguageModel(config), TOKENIZER, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = random_model(ModelConfig(vocab_size=len(TOKENIZER), **SMALL))
    model.head.norm.bias.data[0] = float("nan")
    with pytest.raises(ValueError, match="lm_head.layer_norm.bias is not finite"):
        export(model, TOKENIZER, tmp_path / "out")


def test_the_command_names_what_is_wrong(tmp_path, capsys):
    for model, said in [
        ("nothing", "'nothing' is no model; give the path .* or dropout, no_dropout"),
        (str(tmp_path / "no.safetensors"), "is no model"),
    ]:
        with pytest.raises(SystemExit):
            main(["--model", model, "--out", str(tmp_path)])
        assert re.search(said, capsys.readouterr().err)
    (tmp_path / "odd.safetensors").write_bytes(b"no")
    (tmp_path / "vocabulary.json").write_bytes(b"no")
    with pytest.raises(SystemExit):
        main(["--model", str(tmp_path / "odd.safetensors"), "--out", str(tmp_path)])
    assert "vocabulary.json is missing, damaged" in capsys.readouterr().err
