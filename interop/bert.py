"""A BERT of transformers in our code: `from_bert`.

Two things are ours alone. The vector of the first segment, which every position gets,
is added to the position vectors once and for all. And without BERT's head for words the
model returns hidden states in place of scores.
"""

import json
import re
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from helpers.checkpoint import checkpoint_weights, load_weights
from helpers.files import reading_file
from helpers.model import MaskedLanguageModel, ModelConfig
from interop.weight_names import BERT, their_weight_name

ANOTHER = "choose another checkpoint"
# What our model does, and what `config.json` may leave out because it is the rule.
ONLY = {
    "model_type": ("bert", "our code follows BERT only"),
    "hidden_act": ("gelu", "our feed-forward layer can only compute GELU"),
    "position_embedding_type": ("absolute", "we add a vector for each position"),
    "is_decoder": (False, "in our encoder, each word sees all others"),
    "add_cross_attention": (False, "our encoder reads one text"),
    "pad_token_id": (0, "our model never looks at id 0"),
    "pruned_heads": ({}, "all our layers have the same number of heads"),
    "quantization_config": (None, "we compute with the weights themselves"),
}
SIZES = {
    "vocab_size": ("vocab_size", 30_522),
    "max_length": ("max_position_embeddings", 512),
    "n_layers": ("num_hidden_layers", 12),
    "d_model": ("hidden_size", 768),
    "n_heads": ("num_attention_heads", 12),
    "d_ff": ("intermediate_size", 3_072),
    "dropout": ("hidden_dropout_prob", 0.1),
    "attention_dropout": ("attention_probs_dropout_prob", 0.1),
    "norm_eps": ("layer_norm_eps", 1e-12),
    "tied": ("tie_word_embeddings", True),
}
# Weights that serve a second sentence, or a summary of the text.
LEFT_OUT = re.compile(r"bert\.pooler\.|cls\.seq_relationship\.|.*\.position_ids$")
SEGMENTS = "bert.embeddings.token_type_embeddings.weight"
WORDS = "bert.embeddings.word_embeddings.weight"
OUTPUT, BIAS = "cls.predictions.decoder.weight", "cls.predictions.bias"
OUTPUT_BIAS = "cls.predictions.decoder.bias"
OLD = {"gamma": "weight", "beta": "bias"}  # of LayerNorm, in the first checkpoints


def read_bert_folder(folder: Path) -> tuple[dict[str, Tensor], dict]:
    """The weights and the configuration that a folder holds; else ValueError."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(
            f"{folder} is no BERT: it has no config.json. Give the folder that "
            "save_pretrained wrote, or that snapshot_download of huggingface_hub made."
        )
    with reading_file(path, "Fetch it again."):
        config = {**json.loads(path.read_text("utf-8"))}
    path = folder / "model.safetensors"
    if not path.is_file():
        shards = [*folder.glob("*.safetensors.index.json")]
        pickles = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.ckpt")]
        if shards:
            why = f"its weights are in several files ({shards[0].name}); save it again "
            why += "with a larger max_shard_size"
        elif pickles:
            why = f"it has {pickles[0].name}, a pickle, which may run code when it is "
            why += "read and is never opened here; take a version with safetensors"
        else:
            why = "it holds no weights; fetch them, too"
        raise ValueError(f"{folder} has no model.safetensors: {why}.")
    require_bert(config)
    with reading_file(path, "Fetch it again."):
        weights = load_file(path)
    return weights, config


def require_bert(config: dict) -> None:
    """ValueError that names the first thing in a configuration that we cannot do."""
    for name, (only, why) in ONLY.items():
        found = config.get(name, only)
        if found != only and not (
            name in ("pruned_heads", "pad_token_id") and not found
        ):
            advice = f"{why}, so {ANOTHER}"
            raise ValueError(
                f"This model has {name} {found!r}, not {only!r}: {advice}."
            )


def config_from_bert(config: dict) -> ModelConfig:
    """Our configuration of a BERT. ValueError for one that we cannot represent."""
    require_bert(config)
    sizes = {ours: config.get(*theirs) for ours, theirs in SIZES.items()}
    return ModelConfig.bert(**sizes)


def modern_bert_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their weights, named as in a BertForMaskedLM of today."""
    bare = not any(name.startswith("bert.") for name in weights)
    renamed = {}
    for name, weight in weights.items():
        rest, _, kind = name.rpartition(".")
        name = f"{rest}.{OLD.get(kind, kind)}"
        renamed[f"bert.{name}" if bare and name[:4] != "cls." else name] = weight
    return renamed


def take_bert_weight(weights: dict[str, Tensor], name: str, shape=None) -> Tensor:
    """Takes a weight out, in 32 bits; ValueError if it is missing or does not fit."""
    if name not in weights:
        raise ValueError(f"The weight {name} is missing; {ANOTHER}.")
    weight = weights.pop(name)
    if not weight.is_floating_point():
        raise ValueError(
            f"The weight {name} holds {weight.dtype}, so this checkpoint is quantised; "
            "take the one that was not."
        )
    if shape is not None and tuple(weight.shape) != tuple(shape):
        raise ValueError(
            f"The weight {name} has shape {tuple(weight.shape)}, but config.json says "
            f"{tuple(shape)}; take the two that were saved together."
        )
    return weight.detach().cpu().float()


def require_bert_copy(weights: dict[str, Tensor], name: str, of: str) -> None:
    """A weight may stand there twice, if both are equal; else ValueError."""
    if name in weights and of in weights:
        other = weights[of]
        if not take_bert_weight(weights, name, other.shape).equal(other.cpu().float()):
            raise ValueError(f"{name} and {of} should be one weight, but differ.")


def from_bert(weights, config=None) -> MaskedLanguageModel:
    """Our model, in eval mode, with the weights of a BERT.

    `weights` is a folder that holds config.json and model.safetensors, or a state dict;
    then `config` is a dict or transformers' BertConfig. ValueError, which names it, for
    a setting that we cannot represent and for a weight that is missing or left over.
    """
    if isinstance(weights, str | Path):
        weights, config = read_bert_folder(Path(weights))
    config = config if isinstance(config, dict) else config.to_dict()
    ours = config_from_bert(config)
    weights = modern_bert_names(weights)
    model = MaskedLanguageModel(ours).eval()
    if not any(name.startswith("cls.predictions.") for name in weights):
        model.head = nn.Identity()
    if ours.tied:
        require_bert_copy(weights, OUTPUT_BIAS, BIAS)
        require_bert_copy(weights, OUTPUT, WORDS)
    elif OUTPUT_BIAS in weights:  # the other one is not used then
        weights[BIAS] = weights.pop(OUTPUT_BIAS)
    loaded = {}
    for name, weight in checkpoint_weights(model).items():
        if not (ours.tied and name == "head.decoder.weight"):
            theirs = their_weight_name(name, BERT)
            loaded[name] = take_bert_weight(weights, theirs, weight.shape)
    shape = config.get("type_vocab_size", 2), ours.d_model
    segments = take_bert_weight(weights, SEGMENTS, shape)
    positions = loaded["embedding.position.weight"]
    loaded["embedding.position.weight"] = positions + segments[0]
    if ours.tied and model.head.state_dict():
        loaded["head.decoder.weight"] = loaded["embedding.token.weight"]
    if unused := [name for name in weights if not LEFT_OUT.match(name)]:
        raise ValueError(
            f"The weight {unused[0]} has no place in our model ({len(unused)} left "
            "over); take a BertModel, a BertForMaskedLM or a BertForPreTraining."
        )
    load_weights(model, loaded)
    return model
