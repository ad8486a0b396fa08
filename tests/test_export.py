"""An exported model in the world's tools: the same ids, scores and attention."""

import json
import random
import re
from unicodedata import category

import pytest
import torch
from program import python
from test_tokenizer import TYPED, UNKIND
from tiny import scattered

transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from transformers import AutoModelForMaskedLM, AutoTokenizer  # noqa: E402

from explorer.predict import fill_mask  # noqa: E402
from helpers import ROOT  # noqa: E402
from helpers.bpe import BPETokenizer  # noqa: E402
from helpers.checkpoint import load_model  # noqa: E402
from helpers.model import MaskedLanguageModel, ModelConfig  # noqa: E402
from helpers.record import read_record  # noqa: E402
from helpers.text import MARKS, join_words, split_words  # noqa: E402
from helpers.tokenizer import MASK, PAD, SPECIALS, WordTokenizer  # noqa: E402
from interop.bert import from_bert  # noqa: E402
from interop.export import export, main  # noqa: E402
from interop.tokenizer_json import oniguruma_edit, tokenizer_json  # noqa: E402

MODEL, TOKENIZER, _ = load_model(ROOT / "weights" / "dropout.safetensors")
WORDS = tokenizer_json(TOKENIZER)
HOSTILE = [t for t in UNKIND + [typed for typed, *_ in TYPED] if "[MASK]" not in t]
HOSTILE += ["½ ² Ⅷ ٣,٤ a_b __init__ ___", "ːˑː b–‍Mr.", "a\u001cb\u0085c\u2028d\u180ef"]
TEXTS = [
    "She was born in London, and [MASK] first album was released in 2005.",
    "He did not [MASK].",
    "The [MASK] began in the winter, and by the end of the year it was over.",
]


# The tokenizer's file.


def require_same_ids(library, tokenizer, texts) -> None:
    """Of a library's tokenizer and of ours, without special tokens."""
    found = library.encode_batch(texts, add_special_tokens=False)
    for text, theirs in zip(texts, found, strict=True):
        assert theirs.ids == tokenizer.encode(text), ascii(text[:80])


def test_hostile_text_gets_the_same_ids():
    require_same_ids(WORDS, TOKENIZER, HOSTILE)


def test_every_validation_line_gets_the_same_ids(wikitext):
    lines = wikitext.validation
    require_same_ids(WORDS, TOKENIZER, lines)
    require_same_ids(WORDS, TOKENIZER, [join_words(line.split()) for line in lines])


# What belongs to the character before it.
ATTACHED = {*MARKS, *"ˑ🏻🏼🏽🏾🏿\u200c\u200d", *map(chr, range(0xE0020, 0xE0080))}


def differ(text: str) -> bool:
    """Whether the library cuts a text elsewhere than we; all words with marks alike."""
    normal = WORDS.normalizer.normalize_str(text)
    theirs = [word for word, _ in WORDS.pre_tokenizer.pre_tokenize_str(normal)]
    one, other = (
        ["[UNK]" if {*word} & ATTACHED else word for word in words]
        for words in (theirs, split_words(text))
    )
    return one != other


def test_random_signs_and_every_character_are_cut_at_the_same_places():
    draw = random.Random(0)
    signs = [*"ab7é🇩🇪👍🏽☕,-;_ष–.' \"M", "...", "___", "<unk>", "Mr.", "No.", "U.S."]
    signs += [*"\u200b\u0301\u094d\u3164\u00ad\U000e0067\U000e0001\ufe0f\u2028\x1c🏴"]
    for i in range(20_000):
        # Joiners are not beside typographic quotation marks, as the module says.
        more = [*"\u200c\u200d"] if i % 2 else [*"’“”‘"]
        text = "".join(draw.choices(signs + more, k=8))
        assert not differ(text), ascii(text)
    known = (c for c in map(chr, range(0x30000)) if category(c) not in ("Cn", "Cs"))
    assert [c for c in known if differ(f"a{c}b")] == []


def test_what_the_file_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="cannot hold the word 'न"):
        tokenizer_json(WordTokenizer([*SPECIALS, "the", "न\u0941"]))
    with pytest.raises(ValueError, match="Two merges make"):
        tokenizer_json(BPETokenizer([(5, 5), (261, 5), (5, 261)]))
    with pytest.raises(TypeError, match="is a str; give a WordTokenizer"):
        tokenizer_json("words")
    with pytest.raises(ValueError, match="does not hold 'b' once"):
        oniguruma_edit("abb", "b", "c")


def test_the_byte_pair_tokenizer_gets_the_same_ids_and_its_text_back(wikitext):
    tokenizer = BPETokenizer.train(wikitext.train[:3_000], 1_000)
    library = tokenizer_json(tokenizer)
    texts = [*wikitext.validation, *HOSTILE, "a  b\n\n c ", "<unk><unk> <UNK> <unk"]
    require_same_ids(library, tokenizer, texts)
    for text in texts:
        if "<unk>" not in text:
            assert library.decode(tokenizer.encode(text)) == text
    assert library.encode("a [MASK]").ids[-2:] == [MASK, 3]


# The folder.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("hub") / "dropout"
    main(["--model", "dropout", "--out", str(path)])
    return path


def opened(folder):
    """Their tokenizer and model of a folder, in which nothing is missing or left."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    how = {"attn_implementation": "eager", "output_loading_info": True}
    model, about = AutoModelForMaskedLM.from_pretrained(folder, **how)
    for kind in ("missing", "unexpected", "mismatched"):
        assert not about[f"{kind}_keys"]
    return tokenizer, model.eval()


@torch.no_grad()
def require_same_answers(folder, model, texts=TEXTS) -> None:
    """Logits and attention of a padded batch."""
    tokenizer, theirs = opened(folder)
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    real = batch["attention_mask"].bool()
    assert torch.equal(real, batch["input_ids"] != PAD) and not real.all()
    want, weights = model(batch["input_ids"], need_weights=True)
    got = theirs(**batch, output_attentions=True)
    assert (got.logits - want)[real].abs().max() / want[real].abs().max() < 1e-5
    for mine, other in zip(weights.unbind(1), got.attentions, strict=True):
        looks = (other - mine).transpose(1, 2)[real]
        # Version 4.57 has been seen 1.07e-6 apart, later ones 7e-7.
        assert looks.abs().max() < (2e-6 if transformers.__version__ < "5" else 1e-6)


def test_transformers_gives_our_scores_and_attention(folder):
    require_same_answers(folder, MODEL)


PROGRAM = """
import sys
from transformers import pipeline
fill = pipeline("fill-mask", model=sys.argv[1])
print([answer["token_str"] for answer in fill(sys.argv[2])])
assert not {"helpers", "interop", "explorer"} & sys.modules.keys()
"""


def test_a_script_that_knows_nothing_of_us_opens_it(folder, tmp_path):
    done = python("-c", PROGRAM, folder, TEXTS[0], folder=tmp_path)
    assert done.returncode == 0, done.stderr
    best = [word for word, _ in fill_mask(MODEL, TOKENIZER, TEXTS[0]).top]
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
    shown = found["attention"][0]
    with torch.no_grad():
        _, weights = MODEL(batch["input_ids"], need_weights=True)
    attention_NHTS = torch.tensor(shown["attn"])
    torch.testing.assert_close(attention_NHTS, weights[0], atol=1e-5, rtol=0)
    assert shown["left_text"] == tokens


def test_the_card_says_what_the_record_says(folder):
    card = (folder / "README.md").read_text("utf-8")
    record = read_record(ROOT / "plots/records/dropout.json")
    for split in ("validation", "test"):
        for measured in record[split].values():
            accuracy = f"{100 * measured['accuracy']:.1f} %"
            assert f"| {measured['loss']:.3f} | {accuracy}" in card
    assert "license: cc-by-sa-4.0" in card and "2,689,232" in card
    files = {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    assert {path.name for path in folder.iterdir()} - files == {"tokenizer_config.json"}


# Other models.

SMALL = dict(max_length=40, n_layers=2, d_model=24, n_heads=3, d_ff=20)


def random_model(build=ModelConfig, tokenizer=TOKENIZER, **choices):
    """A small model that is far from its start."""
    torch.manual_seed(0)
    config = build(**(SMALL | {"vocab_size": len(tokenizer)} | choices))
    return scattered(MaskedLanguageModel(config).eval(), 0.2)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("build", [ModelConfig, ModelConfig.bert])
def test_both_layouts_go_out_and_a_bert_comes_back(tmp_path, build, tied):
    model, bert = random_model(build, tied=tied), build is not ModelConfig
    export(model, TOKENIZER, tmp_path)
    require_same_answers(tmp_path, model)
    kind = json.loads((tmp_path / "config.json").read_text("utf-8"))["architectures"]
    assert kind == ["BertForMaskedLM" if bert else "EsmForMaskedLM"]
    if bert:
        batch = torch.randint(5, 99, (2, 9))
        torch.testing.assert_close(from_bert(tmp_path)(batch), model(batch))


def test_a_byte_pair_model_goes_out(tmp_path):
    tokenizer = BPETokenizer.train(["the cat sat on the mat ."] * 3, 20)
    model = random_model(tokenizer=tokenizer)
    export(model, tokenizer, tmp_path)
    require_same_answers(tmp_path, model, ["the cat [MASK] on the mat .", "the mat"])


REFUSED = [
    ({"norm": "post"}, "'rotary'; choose 'learned' with norm='post'"),
    ({"positions": "learned"}, "norm is 'pre'"),
    ({"positions": "none"}, "positions is 'none'"),
    ({"vocab_size": 7}, "2,000 words, but the model has vocab_size 7"),
    ({}, "lm_head.layer_norm.bias is not finite"),
]


@pytest.mark.parametrize("choices, said", REFUSED, ids=str)
def test_what_cannot_go_out_is_refused_by_name(tmp_path, choices, said):
    model = random_model(**choices)
    if not choices:
        model.head.norm.bias.data[0] = float("nan")
    with pytest.raises(ValueError, match=said):
        export(model, TOKENIZER, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_names_what_is_wrong(tmp_path, capsys):
    odd = tmp_path / "odd.safetensors"
    odd.write_bytes(b"no")
    (tmp_path / "vocabulary.json").write_bytes(b"no")
    known = "give the path .* or byte_pairs, dropout, longer, no_dropout"
    for model, said in [
        ("nothing", f"'nothing' is no model; {known}"),
        (str(tmp_path / "no.safetensors"), "is no model"),
        (str(odd), "vocabulary.json is missing, damaged"),
    ]:
        with pytest.raises(SystemExit):
            main(["--model", model, "--out", str(tmp_path)])
        assert re.search(said, capsys.readouterr().err)
