"""Weights and vocabulary on disk.

Finished models are safetensors files: numbers and a few strings, nothing that could run
code. They carry their configuration and digests of themselves and of their vocabulary.
Left out: sharding and formats of other libraries.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor, nn

from helpers.bpe import BPETokenizer
from helpers.files import reading_file, write_file
from helpers.model import MaskedLanguageModel, ModelConfig, require_model_vocabulary
from helpers.tokenizer import WordTokenizer

DIGEST, NO_DIGEST = b'"digest":"', b"0" * 64  # in the header of a weights file


def vocabulary_digest(tokenizer) -> str:
    """SHA-256 of the words in the order of their ids, or of byte pairs in theirs."""
    byte_pairs = isinstance(tokenizer, BPETokenizer)
    entries = map(str, tokenizer.merges) if byte_pairs else tokenizer.words
    text = "\n".join(entries).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()


def byte_pairs_path(weights: Path) -> Path:
    """Where the byte pairs of a weights file are saved, if it has any."""
    return weights.with_suffix(".merges.json")


def checkpoint_weights(model: nn.Module) -> dict[str, Tensor]:
    """A model's weights under its own names, which `torch.compile` changes."""
    return {k.replace("_orig_mod.", ""): w for k, w in model.state_dict().items()}


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Gives a model, compiled or not, weights under its own names."""
    names = {name.replace("_orig_mod.", ""): name for name in model.state_dict()}
    model.load_state_dict({names.get(k, k): w for k, w in weights.items()})


def signed_checkpoint(content: bytes) -> bytes:
    """A weights file with its SHA-256 in the place that was left for it."""
    digest = hashlib.sha256(content).hexdigest().encode()
    return content.replace(DIGEST + NO_DIGEST, DIGEST + digest, 1)


def save_model(path: str | Path, model: nn.Module, tokenizer, info: dict) -> None:
    """Writes the weights in 16 bits, with configuration, digests and `info` (JSON).

    OSError if that cannot be done, which leaves the file of before.
    """
    tensors = {
        name: weight.detach().cpu().half().contiguous()
        for name, weight in checkpoint_weights(model).items()
        if not (model.config.tied and name == "head.decoder.weight")
    }
    require_model_vocabulary(model, tokenizer)
    if not all(weight.isfinite().all() for weight in tensors.values()):
        raise ValueError(
            f"The weights are not all numbers of 16 bits, so {path} is not written; "
            "train again with half the learning_rate."
        )
    metadata = {
        "config": json.dumps(asdict(model.config)),
        "vocabulary": vocabulary_digest(tokenizer),
        "info": json.dumps(info),
        "digest": NO_DIGEST.decode(),
    }
    write_file(path, signed_checkpoint(save(tensors, metadata)))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], ModelConfig, dict]:
    """What a weights file holds: tensors, configuration, metadata."""
    content = path.read_bytes()
    before, _, rest = content.partition(DIGEST)
    if signed_checkpoint(before + DIGEST + NO_DIGEST + rest[64:]) != content:
        raise ValueError("it does not fit its digest")
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    weights = {name: weight.float() for name, weight in load(content).items()}
    config = ModelConfig(**json.loads(metadata["config"]))
    if config.tied:
        weights["head.decoder.weight"] = weights["embedding.token.weight"]
    return weights, config, metadata


def load_model(
    path: str | Path, tokenizer: WordTokenizer | BPETokenizer | None = None
) -> tuple[MaskedLanguageModel, WordTokenizer | BPETokenizer, dict]:
    """Reads a model in eval mode, its tokenizer and its info; runs no code of the file.

    Without a tokenizer takes what lies beside the weights: byte pairs under their name
    (`byte_pairs_path`), else `vocabulary.json`. Raises ValueError if the file is
    missing, damaged or belongs to another vocabulary.
    """
    path = Path(path)
    if tokenizer is None and (pairs := byte_pairs_path(path)).exists():
        tokenizer = BPETokenizer.load(pairs)
    elif tokenizer is None:
        tokenizer = WordTokenizer.load(path.parent / "vocabulary.json")
    with reading_file(path, "Fetch it again, or train it again."):
        weights, config, metadata = read_checkpoint(path)
        digest, info = metadata["vocabulary"], json.loads(metadata["info"])
        model = MaskedLanguageModel(config).eval()
        load_weights(model, weights)
    if digest != vocabulary_digest(tokenizer):
        raise ValueError(
            f"{path} was trained with another vocabulary; load the vocabulary.json "
            "that was saved with it."
        )
    return model, tokenizer, info
