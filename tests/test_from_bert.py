"""A BERT of transformers in our code: equal answers, and what cannot be is refused."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny import scattered
from torch import nn

transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from tokenizers import BertWordPieceTokenizer, Tokenizer  # noqa: E402
from transformers import (  # noqa: E402
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
)

from explorer.predict import fill_mask, mask_each  # noqa: E402
from explorer.widget import Explorer  # noqa: E402
from helpers.model import shallow_copy  # noqa: E402
from helpers.tokenizer import PAD  # noqa: E402
from interop.bert import from_bert, our_config  # noqa: E402
from interop.hub import fetch_bert  # noqa: E402
from interop.wordpiece import WordPiece  # noqa: E402

SIZES = dict(
    vocab_size=47,
    max_position_embeddings=19,
    num_hidden_layers=3,
    hidden_size=30,
    num_attention_heads=5,
    intermediate_size=22,
)
ODD = [
    {},
    dict(num_attention_heads=1, num_hidden_layers=1),
    dict(num_attention_heads=15, layer_norm_eps=1e-3),
    dict(type_vocab_size=1, vocab_size=6),
    dict(type_vocab_size=3, tie_word_embeddings=False),
    dict(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.0, pad_token_id=None),
]


def random_bert(kind=BertForMaskedLM, seed=0, **choices):
    """A BERT in eval mode whose every parameter is far from its start."""
    torch.manual_seed(seed)
    config = BertConfig(**(SIZES | choices), attn_implementation="eager")
    return scattered(kind(config).eval(), 0.3)


def some_ids(vocab_size=47) -> torch.Tensor:
    """Ids with [PAD] at the end of some rows."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(1, vocab_size, (4, 17), generator=draw)
    ids[1, 7:] = PAD
    ids[2, 2:] = PAD
    return ids


def headless(model):
    """The same without its output layer, so that it returns hidden states."""
    copied = shallow_copy(model)
    copied.head = nn.Identity()
    return copied


@torch.no_grad()
def require_equal(ours, theirs, ids) -> None:
    real = ids != PAD
    want = theirs(
        ids,
        attention_mask=real.long(),
        output_attentions=True,
        output_hidden_states=True,
    )
    hidden, weights = headless(ours)(ids, need_weights=True)
    close = dict(atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(hidden[real], want.hidden_states[-1][real], **close)
    for ours_BHTS, theirs_BHTS in zip(weights.unbind(1), want.attentions, strict=True):
        looks = [
            attention.transpose(1, 2)[real] for attention in (ours_BHTS, theirs_BHTS)
        ]
        torch.testing.assert_close(*looks, **close)
    if "logits" in want:
        assert want.logits.std() > 0.5  # scores that say something
        torch.testing.assert_close(ours(ids)[real], want.logits[real], **close)


@pytest.mark.parametrize("choices", ODD, ids=str)
def test_random_berts_give_equal_hidden_states_logits_and_attention(choices):
    theirs = random_bert(**choices)
    ours = from_bert(theirs.state_dict(), theirs.config)
    require_equal(ours, theirs, some_ids(theirs.config.vocab_size))


def test_a_bert_without_a_head_gives_hidden_states():
    theirs = random_bert(BertModel)
    ours = from_bert(theirs.state_dict(), theirs.config.to_dict())
    require_equal(ours, theirs, some_ids())
    assert ours(some_ids()).shape == (4, 17, 30)
    with pytest.raises(ValueError, match="no output layer.*BertForMaskedLM"):
        fill_mask(ours, letters_tokenizer(), "a ___ c")


def test_a_bert_for_pretraining_leaves_out_what_serves_a_second_sentence():
    theirs = random_bert(BertForPreTraining)
    ours = from_bert(theirs.state_dict(), theirs.config)
    theirs.config.architectures = None
    with torch.no_grad():
        want = theirs(some_ids(), attention_mask=(some_ids() != PAD).long())
        real = some_ids() != PAD
        got = ours(some_ids())[real]
    torch.testing.assert_close(got, want.prediction_logits[real], atol=1e-5, rtol=1e-5)


def test_names_of_the_first_checkpoints_are_known():
    theirs = random_bert()
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): weight.half()
        for name, weight in theirs.state_dict().items()
        if "decoder" not in name
    }
    assert any(name.endswith("gamma") for name in weights)
    weights["bert.embeddings.position_ids"] = torch.arange(19)[None]
    ours = from_bert(weights, theirs.config)
    require_equal(ours, theirs.half().float(), some_ids())


@pytest.mark.parametrize(
    "change, said",
    [
        ({"hidden_act": "relu"}, "hidden_act 'relu', not 'gelu'"),
        ({"hidden_act": "gelu_new"}, "hidden_act 'gelu_new'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder True"),
        ({"add_cross_attention": True}, "add_cross_attention True"),
        ({"model_type": "roberta"}, "model_type 'roberta', not 'bert'"),
        ({"model_type": "gpt2"}, "model_type 'gpt2', not 'bert'"),
        ({"pad_token_id": 3}, "pad_token_id 3"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"hidden_size": 31}, "d_model is 31; choose a multiple of 5"),
        ({"hidden_dropout_prob": 1.0}, "dropout is 1.0"),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
    ],
    ids=str,
)
def test_a_setting_that_we_cannot_represent_is_named(change, said):
    theirs = random_bert()
    with pytest.raises(ValueError, match=said) as raised:
        from_bert(theirs.state_dict(), theirs.config.to_dict() | change)
    assert str(raised.value).count(". ") == 0  # one sentence


def without(name):
    return lambda weights: weights.pop(name)


def plus(name, weight):
    return lambda weights: weights.update({name: weight})


QUERY = "bert.encoder.layer.1.attention.self.query.weight"
SEGMENTS = "bert.embeddings.token_type_embeddings.weight"


@pytest.mark.parametrize(
    "damage, said",
    [
        (without(QUERY), f"{QUERY} is missing"),
        (without(SEGMENTS), f"{SEGMENTS} is missing"),
        (without("cls.predictions.bias"), "cls.predictions.bias is missing"),
        (
            plus("bert.adapter.weight", torch.ones(1)),
            "bert.adapter.weight has no place",
        ),
        (plus("bert.encoder.layer.3.x", torch.ones(1)), "layer.3.x has no place"),
        (plus(QUERY, torch.ones(3, 3)), r"query.weight has shape \(3, 3\)"),
        (plus(QUERY, torch.ones(30, 30, dtype=torch.int8)), "int8.*quantised"),
        (plus("cls.predictions.decoder.weight", torch.ones(47, 30)), "differ"),
        (lambda weights: weights.clear(), "word_embeddings.weight is missing"),
    ],
    ids=range(9),
)
def test_a_weight_that_is_missing_or_left_over_is_named(damage, said):
    theirs = random_bert()
    weights = dict(theirs.state_dict())
    damage(weights)
    with pytest.raises(ValueError, match=said):
        from_bert(weights, theirs.config)


def test_a_classifier_is_refused_by_the_name_of_its_weight():
    theirs = random_bert(BertForSequenceClassification)
    with pytest.raises(ValueError, match="classifier.* has no place.*BertForMaskedLM"):
        from_bert(theirs.state_dict(), theirs.config)


# Folders.


@pytest.fixture
def folder(tmp_path):
    random_bert().save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_gives_the_same_model(folder):
    theirs = random_bert()
    require_equal(from_bert(folder), theirs, some_ids())
    require_equal(from_bert(str(folder)), theirs, some_ids())


class Bomb:
    """What a pickle could do."""

    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda f: (f / "config.json").unlink(), "is no BERT: it has no config.json"),
        (
            lambda f: (f / "config.json").write_text("[1]", "utf-8"),
            "config.json is missing, dam",
        ),
        (
            lambda f: (f / "config.json").write_text("{", "utf-8"),
            "config.json is missing, dam",
        ),
        (lambda f: (f / "model.safetensors").unlink(), "it holds no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), "is missing, damaged"),
        (
            lambda f: (f / "config.json").write_text(
                '{"model_type": "distilbert"}', "utf-8"
            ),
            "model_type 'distilbert'",
        ),
        (
            lambda f: (f / "model.safetensors").rename(
                f / "model.safetensors.index.json"
            ),
            "several files.*max_shard_size",
        ),
    ],
    ids=range(7),
)
def test_a_spoilt_folder_is_refused(folder, spoil, said):
    spoil(folder)
    with pytest.raises(ValueError, match=said):
        from_bert(folder)


def test_a_pickle_is_never_opened(folder):
    (folder / "model.safetensors").unlink()
    torch.save(Bomb(), folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pytorch_model.bin, a pickle.*safetensors"):
        from_bert(folder)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere is no BERT"):
        from_bert(tmp_path / "nowhere")


# WordPiece, and the explorer on it.

NAMES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*"abcdefg.", "##b", "##c", "the", "lamp", "##s", "key", "near", "é"]


def vocabulary(tmp_path, names=tuple(NAMES)):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*names, *PIECES]) + "\n", "utf-8")
    return path


def letters_tokenizer():
    words = {word: i for i, word in enumerate([*NAMES, *PIECES])}
    extra = {f"w{i}": len(words) + i for i in range(47 - len(words))}
    made = BertWordPieceTokenizer(words | extra, lowercase=True)
    return WordPiece(Tokenizer.from_str(made.to_str()))


def test_wordpiece_cuts_as_berts_own_tokenizer_does(tmp_path):
    ours = WordPiece.load(vocabulary(tmp_path).parent)
    theirs = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))
    for text in [
        "The lamps, near",
        "abc Keys É ☕ key",
        "",
        "lamp\u00adlamps",
        "a" * 300,
    ]:
        want = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text) == want, text
    assert ours.split("The lamps ☕ [MASK]x___.") == [
        *("the", "lamp", "##s", "☕", "[MASK]", "x", "[MASK]", "."),
    ]
    assert len(ours) == len(NAMES) + len(PIECES)
    assert ours.special_ids.silent == tuple(range(6))


def test_cased_vocabularies_keep_their_case(tmp_path):
    vocabulary(tmp_path)
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(json.dumps({"do_lower_case": False}), "utf-8")
    assert WordPiece.load(tmp_path).encode("The the") == [2, NAMES.index("[MASK]") + 11]


@pytest.mark.parametrize(
    "names, said",
    [
        ([n for n in NAMES if n != "[MASK]"], r"no \[MASK\]"),
        (["a0", *NAMES], r"\[PAD\] is id 1"),
    ],
)
def test_a_vocabulary_that_is_not_berts_is_refused(tmp_path, names, said):
    with pytest.raises(ValueError, match=said):
        WordPiece.load(vocabulary(tmp_path, names).parent)


def test_no_tokenizer_or_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither tokenizer.json nor vocab.txt"):
        WordPiece.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(ValueError, match="tokenizer.json is missing, damaged"):
        WordPiece.load(tmp_path)
    from tokenizers import models

    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="is a BPE, not a WordPiece"):
        WordPiece.load(tmp_path)


def test_the_explorer_takes_a_bert_with_its_own_vocabulary():
    theirs = random_bert()
    ours, tokenizer = from_bert(theirs.state_dict(), theirs.config), letters_tokenizer()
    text = "The lamps ☕ near ___"
    told = mask_each(ours, tokenizer, text)[2]
    words = ["the", "lamp", "##s", "☕", "near", "___"]
    assert told.words == words and told.true == "##s"
    # The model itself, asked by hand.
    mask, unk = NAMES.index("[MASK]"), NAMES.index("[UNK]")
    known = {word: i for i, word in enumerate(tokenizer.words)}
    middle = [known["the"], known["lamp"], mask, unk, known["near"], mask]
    with torch.no_grad():
        logits = theirs(torch.tensor([[3, *middle, 4]])).logits[0, 3]
    logits[:6] = float("-inf")
    torch.testing.assert_close(told.chance_V, logits.softmax(-1), atol=1e-5, rtol=1e-4)
    assert mask_each(ours, tokenizer, text)[3].true is None  # ☕ is outside
    widget = Explorer({"bert": ours}, tokenizer, text, position=2)
    assert widget.views.unknown == [False, False, False, True, False, False]
    assert widget.views.n_words == 47 - 6 and len(widget.head.options) == 1 + 5
    assert "##s" in widget.card.value and "mt-heads" in widget.heads.value
    widget.guess.value = "key"
    assert "guess number" in widget.own.value
    widget.guess.value = "lamps"
    assert "not one of the 41 words" in widget.own.value


def test_a_tokenizer_of_another_size_is_refused():
    theirs = random_bert(vocab_size=40)
    ours = from_bert(theirs.state_dict(), theirs.config)
    with pytest.raises(ValueError, match="47 words, but the model has vocab_size 40"):
        fill_mask(ours, letters_tokenizer(), "the ___")


def test_berts_sizes_are_the_rule_where_a_configuration_is_silent():
    ours = our_config({"model_type": "bert"})
    assert (ours.vocab_size, ours.d_model, ours.n_layers) == (30_522, 768, 12)


def test_a_folder_written_by_hand_is_enough(tmp_path):
    theirs = random_bert()
    settings = theirs.config.to_dict()
    (tmp_path / "config.json").write_text(json.dumps(settings, default=str), "utf-8")
    weights = {k: w.clone() for k, w in theirs.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    require_equal(from_bert(tmp_path), theirs, some_ids())


# The hub.


def test_without_a_hub_one_sentence_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="HF_HUB_OFFLINE forbids"):
        fetch_bert()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="bert-base-uncased cannot be had"):
        fetch_bert()


def test_a_checkpoint_without_safetensors_is_passed_over(monkeypatch, folder):
    asked = []

    def download(name, local_files_only=False, **how):
        asked.append((name, local_files_only))
        if name == "whole":
            return str(folder)
        raise OSError("there is none")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("interop.hub.require_hub", lambda name: None)
    assert fetch_bert(["without", "whole"]) == folder
    assert asked == [("without", True), ("without", False), ("whole", True)]
