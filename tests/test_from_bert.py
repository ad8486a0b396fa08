"""A BERT of transformers in our code: equal answers, and what cannot be is refused."""

import json

import pytest
import torch
import transformers
from safetensors.torch import save_file
from tiny import scattered
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from helpers.model import shallow_model_copy
from helpers.tokenizer import PAD
from interop.bert import config_from_bert, from_bert
from interop.hub import fetch_bert

SIZES = dict(vocab_size=47, max_position_embeddings=19, num_hidden_layers=3)
SIZES |= dict(hidden_size=30, num_attention_heads=5, intermediate_size=22)


def random_bert(kind=BertForMaskedLM, **choices):
    """A BERT in eval mode whose every parameter is far from its start."""
    torch.manual_seed(0)
    config = BertConfig(**(SIZES | choices), attn_implementation="eager")
    return scattered(kind(config).eval(), 0.3)


@torch.no_grad()
def require_equal(ours, theirs) -> None:
    """Hidden states, attention and scores where no row is padded."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(1, theirs.config.vocab_size, (4, 17), generator=draw)
    ids[1, 7:] = ids[2, 2:] = PAD
    real = ids != PAD
    asked = {"output_attentions": True, "output_hidden_states": True}
    want = theirs(ids, attention_mask=real.long(), **asked)
    headless = shallow_model_copy(ours)
    headless.head = nn.Identity()
    hidden, weights = headless(ids, need_weights=True)
    scores = want.get("logits", want.get("prediction_logits", hidden))
    pairs = [(hidden, want.hidden_states[-1]), (ours(ids), scores)]
    looks = zip(weights.unbind(1), want.attentions, strict=True)
    pairs += [(mine.transpose(1, 2), other.transpose(1, 2)) for mine, other in looks]
    assert scores.std() > 0.5  # they say something
    for mine, other in pairs:
        torch.testing.assert_close(mine[real], other[real], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        dict(num_attention_heads=1, num_hidden_layers=1),
        dict(num_attention_heads=15, layer_norm_eps=1e-3),
        dict(type_vocab_size=1, vocab_size=6),
        dict(type_vocab_size=3, tie_word_embeddings=False),
        dict(attention_probs_dropout_prob=0.0, pad_token_id=None),
        dict(kind=transformers.BertModel),  # without a head
        dict(kind=transformers.BertForPreTraining),  # with a second sentence
    ],
    ids=str,
)
def test_random_berts_give_equal_hidden_states_scores_and_attention(choices):
    theirs = random_bert(**choices)
    require_equal(from_bert(theirs.state_dict(), theirs.config), theirs)


def test_names_of_the_first_checkpoints_are_known():
    theirs, weights = random_bert(), {}
    for name, weight in theirs.state_dict().items():
        if "decoder" not in name:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            weights[name.replace("LayerNorm.bias", "LayerNorm.beta")] = weight.half()
    weights["bert.embeddings.position_ids"] = torch.arange(19)[None]
    require_equal(from_bert(weights, theirs.config), theirs.half().float())


# What cannot be.

QUERY = "bert.encoder.layer.1.attention.self.query.weight"
SEGMENTS = "bert.embeddings.token_type_embeddings.weight"
# Settings, or a weight and what stands in its place (None: nothing), and what is said.
REFUSED = [
    ({"hidden_act": "relu"}, "hidden_act 'relu', not 'gelu'"),
    ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ({"is_decoder": True}, "is_decoder True"),
    ({"add_cross_attention": True}, "add_cross_attention True"),
    ({"model_type": "roberta"}, "model_type 'roberta', not 'bert'"),
    ({"pad_token_id": 3}, "pad_token_id 3"),
    ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
    ({"quantization_config": {"bits": 4}}, "quantization_config"),
    ({"hidden_size": 31}, "d_model is 31; choose a multiple of 5"),
    ({"hidden_dropout_prob": 1.0}, "dropout is 1.0"),
    ({"vocab_size": "many"}, "vocab_size is 'many'"),
    ({QUERY: None}, f"{QUERY} is missing"),
    ({SEGMENTS: None}, f"{SEGMENTS} is missing"),
    ({"cls.predictions.bias": None}, "cls.predictions.bias is missing"),
    ({"bert.encoder.layer.3.x": torch.ones(1)}, "layer.3.x has no place"),
    ({"classifier.weight": torch.ones(1)}, "classifier.* no place.*BertForMaskedLM"),
    ({QUERY: torch.ones(3, 3)}, r"query.weight has shape \(3, 3\)"),
    ({QUERY: torch.ones(30, 30, dtype=torch.int8)}, "int8.*quantised"),
    ({"cls.predictions.decoder.weight": torch.ones(47, 30)}, "differ"),
]


@pytest.mark.parametrize("change, said", REFUSED, ids=range(len(REFUSED)))
def test_what_we_cannot_represent_is_named(change, said):
    theirs = random_bert()
    ((key, value),) = change.items()
    weights, settings = theirs.state_dict(), theirs.config.to_dict()
    (weights if "." in key else settings)[key] = value
    weights = {name: weight for name, weight in weights.items() if weight is not None}
    with pytest.raises(ValueError, match=said) as raised:
        from_bert(weights, settings)
    assert "." in key or ". " not in str(raised.value)  # one sentence


def test_berts_sizes_are_the_rule_where_a_configuration_is_silent():
    ours = config_from_bert({"model_type": "bert"})
    assert (ours.vocab_size, ours.d_model, ours.n_layers) == (30_522, 768, 12)


# Folders, and the hub.


@pytest.fixture
def folder(tmp_path):
    random_bert().save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_gives_the_same_model_also_one_written_by_hand(folder, tmp_path):
    theirs = random_bert()
    require_equal(from_bert(folder), theirs)
    settings = theirs.config.to_dict()
    (tmp_path / "config.json").write_text(json.dumps(settings, default=str), "utf-8")
    weights = {k: w.clone() for k, w in theirs.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    require_equal(from_bert(str(tmp_path)), theirs)


class Bomb:
    """What a pickle could do."""

    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


CONFIG, FILE = "config.json", "model.safetensors"
DISTIL = b'{"model_type": "distilbert"}'
# A file, what it holds instead (None: nothing) or is called, and what is said.
SPOILT = [
    (CONFIG, None, "is no BERT: it has no config.json"),
    (CONFIG, b"[1]", "config.json is missing, dam"),
    (CONFIG, b"{", "config.json is missing, dam"),
    (CONFIG, DISTIL, "model_type 'distilbert'"),
    (FILE, None, "it holds no weights"),
    (FILE, b"no", "is missing, damaged"),
    (FILE, "model.safetensors.index.json", "several files.*max_shard_size"),
    (FILE, "pytorch_model.bin", "pytorch_model.bin, a pickle.*safetensors"),
]


@pytest.mark.parametrize("file, instead, said", SPOILT, ids=range(8))
def test_a_spoilt_folder_is_refused_and_a_pickle_never_opened(
    folder, file, instead, said
):
    (folder / file).unlink()
    if isinstance(instead, bytes):
        (folder / file).write_bytes(instead)
    elif instead:
        torch.save(Bomb(), folder / instead)
    with pytest.raises(ValueError, match=said):
        from_bert(folder)


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
