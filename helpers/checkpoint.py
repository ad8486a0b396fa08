"""Weights, vocabulary and training state on disk.

Finished models are safetensors files: numbers and a few strings, nothing that could run
code. They carry their configuration and a digest of their vocabulary. The state of a
running training is PyTorch's own format, read with `weights_only=True` and written so
that a crash leaves the old file. Left out: sharding and formats of other libraries.
"""

import hashlib
import io
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import WordTokenizer


def vocabulary_digest(tokenizer: WordTokenizer) -> str:
    """SHA-256 of the words in the order of their ids."""
    return hashlib.sha256(
        "\n".join(tokenizer.words).encode("utf-8", "surrogatepass")
    ).hexdigest()


def save_model(path: Path, model: MaskedLanguageModel, tokenizer, info: dict) -> None:
    """Writes the weights in 16 bits, with configuration, digest and `info` (JSON)."""
    tensors = {
        name: weight.detach().cpu().half().contiguous()
        for name, weight in model.state_dict().items()
        if not (model.config.tied and name == "head.decoder.weight")
    }
    metadata = {
        "config": json.dumps(asdict(model.config)),
        "vocabulary": vocabulary_digest(tokenizer),
        "info": json.dumps(info),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)


def load_model(
    path: Path, tokenizer: WordTokenizer | None = None
) -> tuple[MaskedLanguageModel, WordTokenizer, dict]:
    """Reads a model in eval mode, its tokenizer and its info; runs no code of the file.

    Without a tokenizer takes `vocabulary.json` beside the weights. Raises ValueError if
    the file is missing, damaged or belongs to another vocabulary.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There are no weights at {path}; train a model first.")
    if tokenizer is None:
        tokenizer = WordTokenizer.load(path.parent / "vocabulary.json")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        config = ModelConfig(**json.loads(metadata["config"]))
        digest, info = metadata["vocabulary"], json.loads(metadata["info"])
        model = MaskedLanguageModel(config).eval()
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or no model of this project ({error}); fetch it again."
        ) from error
    if digest != vocabulary_digest(tokenizer):
        raise ValueError(
            f"{path} was trained with another vocabulary; load the vocabulary.json "
            "that was saved with it."
        )
    if config.tied and "embedding.token.weight" in weights:
        weights["head.decoder.weight"] = weights["embedding.token.weight"]
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"{path} does not fit its own configuration; fetch it again."
        ) from error
    return model, tokenizer, info


def whole_content(path: Path) -> bytes | None:
    """What a state file holds; None if it does not fit the digest at its beginning."""
    content = path.read_bytes()
    digest, content = content[:32], content[32:]
    return content if hashlib.sha256(content).digest() == digest else None


def save_state(path: Path, state: dict) -> None:
    """Writes a training state so that a crash at any moment leaves a whole one.

    The file begins with the SHA-256 of the rest. The one before, if it is whole, is
    kept beside it.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    with open(fresh, "wb") as file:
        file.write(hashlib.sha256(content).digest() + content)
        file.flush()
        os.fsync(file.fileno())  # on the disk before it gets its name
    if path.exists() and whole_content(path) is not None:
        os.replace(path, path.with_suffix(".old"))
    os.replace(fresh, path)


def load_state(path: Path) -> dict:
    """Reads a training state onto the CPU; {} if there is none yet.

    Passes over a damaged file with one line, to the one before. Raises ValueError if
    nothing whole is left.
    """
    found = [p for p in (path, path.with_suffix(".old")) if p.exists()]
    for candidate in found:
        content = whole_content(candidate)
        if content is not None:
            return torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
        print(f"{candidate} is damaged; it is passed over.")
    if found:
        raise ValueError(f"No state in {path.parent} is whole; delete it, start anew.")
    return {}
