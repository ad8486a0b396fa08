"""Which of transformers' weights is which of ours, for both layouts that we can meet.

BERT is ours with `ModelConfig.bert()`. Ours by default, LayerNorm before each sublayer
and rotary positions, is ESM (Lin et al. 2022), a model of proteins, weight for weight.
"""

import re

from helpers.model import ModelConfig
from helpers.settings import SettingError

# Names of modules; `{}` is the number of a block. Weights and biases keep theirs.
BERT = {
    "embedding.token": "bert.embeddings.word_embeddings",
    "embedding.position": "bert.embeddings.position_embeddings",
    "embedding.norm": "bert.embeddings.LayerNorm",
    "blocks.{}.attention.query": "bert.encoder.layer.{}.attention.self.query",
    "blocks.{}.attention.key": "bert.encoder.layer.{}.attention.self.key",
    "blocks.{}.attention.value": "bert.encoder.layer.{}.attention.self.value",
    "blocks.{}.attention.output": "bert.encoder.layer.{}.attention.output.dense",
    "blocks.{}.attention_norm": "bert.encoder.layer.{}.attention.output.LayerNorm",
    "blocks.{}.feed_forward.expand": "bert.encoder.layer.{}.intermediate.dense",
    "blocks.{}.feed_forward.contract": "bert.encoder.layer.{}.output.dense",
    "blocks.{}.feed_forward_norm": "bert.encoder.layer.{}.output.LayerNorm",
    "head.transform": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
    "head.decoder": "cls.predictions.decoder",
}
ESM = {
    "embedding.token": "esm.embeddings.word_embeddings",
    "blocks.{}.attention.query": "esm.encoder.layer.{}.attention.self.query",
    "blocks.{}.attention.key": "esm.encoder.layer.{}.attention.self.key",
    "blocks.{}.attention.value": "esm.encoder.layer.{}.attention.self.value",
    "blocks.{}.attention.output": "esm.encoder.layer.{}.attention.output.dense",
    "blocks.{}.attention_norm": "esm.encoder.layer.{}.attention.LayerNorm",
    "blocks.{}.feed_forward.expand": "esm.encoder.layer.{}.intermediate.dense",
    "blocks.{}.feed_forward.contract": "esm.encoder.layer.{}.output.dense",
    "blocks.{}.feed_forward_norm": "esm.encoder.layer.{}.LayerNorm",
    "norm": "esm.encoder.emb_layer_norm_after",
    "head.transform": "lm_head.dense",
    "head.norm": "lm_head.layer_norm",
    "head.decoder": "lm_head.decoder",
}
# The bias of the output layer stands beside that layer, not in it.
OUTPUT_BIAS = {
    "cls.predictions.decoder.bias": "cls.predictions.bias",
    "lm_head.decoder.bias": "lm_head.bias",
}


def weight_names(config: ModelConfig) -> dict[str, str]:
    """The names for a configuration; SettingError if neither is like it."""
    match config.norm, config.positions:
        case "post", "learned":
            return BERT
        case "pre", "rotary":
            return ESM
    raise SettingError(
        "positions",
        config.positions,
        f"'learned' with norm='post' (BERT) or 'rotary' with norm='pre' (ESM); norm is "
        f"{config.norm!r}, and transformers has no masked language model with both",
    )


def their_weight_name(name: str, names: dict[str, str]) -> str:
    """Their name of one of our weights, such as `blocks.0.attention.query.bias`."""
    module, _, kind = name.rpartition(".")
    number = re.search(r"\d+", module)
    if number:
        module = module.replace(number[0], "{}", 1)
    found = f"{names[module].format(number and number[0])}.{kind}"
    return OUTPUT_BIAS.get(found, found)
