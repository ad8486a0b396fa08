"""A trained model as a folder that the world's tools open: `export`.

python -m interop.export --model dropout --out FOLDER

The folder is what the Hugging Face hub expects: `config.json` and `model.safetensors`
for transformers' EsmForMaskedLM (or BertForMaskedLM), `tokenizer.json`, and a model
card. It holds no code. With an account, one line uploads it:

hf upload NAME FOLDER
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from helpers import ROOT
from helpers.checkpoint import checkpoint_weights, load_model
from helpers.files import write_file
from helpers.model import ModelConfig, require_model_vocabulary
from helpers.record import read_record
from helpers.tokenizer import MASK, PAD, SPECIALS
from interop.model_card import model_card
from interop.tokenizer_json import tokenizer_json
from interop.weight_names import BERT, their_weight_name, weight_names


def export_config(config: ModelConfig) -> dict:
    """What `config.json` says of a model."""
    attention_dropout = config.attention_dropout
    if attention_dropout is None:
        attention_dropout = config.dropout
    said = {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_length,
        "num_hidden_layers": config.n_layers,
        "hidden_size": config.d_model,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_ff,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": attention_dropout,
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "pad_token_id": PAD,
        "initializer_range": 0.02,
        "dtype": "float32",
    }
    if weight_names(config) is BERT:
        kind = {"architectures": ["BertForMaskedLM"], "model_type": "bert"}
        return kind | said | {"hidden_act": "gelu", "type_vocab_size": 1}
    kind = {"architectures": ["EsmForMaskedLM"], "model_type": "esm"}
    return kind | {
        **said,
        "mask_token_id": MASK,
        "position_embedding_type": "rotary",
        "rope_theta": 10_000.0,
        "emb_layer_norm_before": False,  # ours has none after the embedding
        "token_dropout": False,  # which would rescale the embeddings of masked words
        "is_folding_model": False,
    }


def export_weights(model) -> dict[str, Tensor]:
    """The weights under transformers' names, in 32 bits."""
    config, names = model.config, weight_names(model.config)
    weights = {
        their_weight_name(name, names): weight.detach().cpu().float().contiguous()
        for name, weight in checkpoint_weights(model).items()
        if not (config.tied and name == "head.decoder.weight")
    }
    extras = export_bert_extras if names is BERT else export_esm_extras
    return weights | extras(config, weights)


def export_bert_extras(
    config: ModelConfig, weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    """What theirs has beside our weights: a segment vector, and one bias twice."""
    bias = weights["cls.predictions.bias"].clone()
    segments = torch.zeros(1, config.d_model, device="cpu")
    return {
        "bert.embeddings.token_type_embeddings.weight": segments,
        "cls.predictions.decoder.bias": bias,
    }


def export_esm_extras(
    config: ModelConfig, weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    """What theirs has beside our weights: a head for proteins, and fixed angles."""
    d_head = config.d_model // config.n_heads
    pair = torch.arange(0, d_head, 2, device="cpu", dtype=torch.float32)
    angles = {
        f"esm.encoder.layer.{i}.attention.self.rotary_embeddings.inv_freq": 10_000
        ** (-pair / d_head)
        for i in range(config.n_layers)
    }
    heads = config.n_layers * config.n_heads
    return angles | {
        "esm.contact_head.regression.weight": torch.zeros(1, heads, device="cpu"),
        "esm.contact_head.regression.bias": torch.zeros(1, device="cpu"),
    }


def export_tokenizer_config(made, max_length: int) -> dict:
    """What `tokenizer_config.json` says; this class is known to every version."""
    names = "pad unk cls sep mask".split()
    tokens = {f"{n}_token": made.id_to_token(i) for i, n in enumerate(names)}
    mask = {"__type": "AddedToken", "content": SPECIALS[MASK], "special": True}
    mask |= {"normalized": True, "lstrip": False, "rstrip": False, "single_word": False}
    return tokens | {
        "mask_token": mask,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
    }


def export(model, tokenizer, folder: str | Path, name="", record=None) -> Path:
    """Writes model, tokenizer and model card into a folder, and returns it.

    `name` and the `record` of the training go into the card. An existing folder keeps
    what else is in it. ValueError for a tokenizer of another model, weights that are
    not finite, or a layout that transformers does not have.
    """
    require_model_vocabulary(model, tokenizer)
    folder, weights = Path(folder), export_weights(model)
    if broken := [n for n, weight in weights.items() if not weight.isfinite().all()]:
        raise ValueError(
            f"The weight {broken[0]} is not finite, so nothing is written; train again "
            "with half the learning_rate."
        )
    made = tokenizer_json(tokenizer)
    settings = {
        "config.json": export_config(model.config),
        "tokenizer_config.json": export_tokenizer_config(made, model.config.max_length),
    }
    for file, content in settings.items():
        write_file(folder / file, json.dumps(content, indent=2) + "\n")
    write_file(folder / "tokenizer.json", made.to_str(pretty=True) + "\n")
    write_file(folder / "model.safetensors", save(weights, {"format": "pt"}))
    about = name or folder.name, model, tokenizer, record
    write_file(folder / "README.md", model_card(*about))
    return folder


def model_to_export(name: str) -> Path:
    """The weights file that an option names: a path, or one of weights/."""
    path, shipped = Path(name), ROOT / "weights" / f"{name}.safetensors"
    if path.suffix == ".safetensors" and path.is_file():
        return path
    if not shipped.is_file():
        known = ", ".join(sorted(p.stem for p in shipped.parent.glob("*.safetensors")))
        raise argparse.ArgumentTypeError(
            f"{name!r} is no model; give the path of a .safetensors file, or {known}"
        )
    return shipped


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see the top of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m interop.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, type=model_to_export, metavar="NAME")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    given = parser.parse_args(arguments)
    try:
        model, tokenizer, info = load_model(given.model)
        record = ROOT / "plots/records" / f"{given.model.stem}.json"
        shipped = given.model.parent == ROOT / "weights" and record.exists()
        recorded = read_record(record) if shipped else info
        folder = export(model, tokenizer, given.out, given.model.stem, recorded)
    except (ValueError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except ModuleNotFoundError as error:
        parser.exit(1, f"{parser.prog}: {error.name} is missing; pip install it.\n")
    print(f"{folder} holds {', '.join(sorted(p.name for p in folder.iterdir()))}")


if __name__ == "__main__":
    main()
