"""BERT's tokenizer, by the `tokenizers` library, as the explorer asks for it.

WordPiece cuts a word that it does not know into pieces that it knows (Wu et al. 2016,
section 4.1); each piece that continues a word begins with `##`. A reader of the
explorer sees the pieces: each is one token to the model.
"""

import json
import re
from pathlib import Path

from explorer.tokens import BLANKS, SpecialTokens
from helpers.files import reading_file

SPECIALS = "[UNK] [CLS] [SEP] [MASK]".split()
UNUSED = re.compile(r"\[(unused\d+|PAD)\]")  # places that BERT's vocabulary keeps free


def read_wordpiece(folder: Path):
    """The library's tokenizer of a folder: tokenizer.json, or vocab.txt."""
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    path = folder / "tokenizer.json"
    if path.is_file():
        with reading_file(path, "Fetch it again."):
            return Tokenizer.from_file(str(path))
    path, settings = folder / "vocab.txt", folder / "tokenizer_config.json"
    if not path.is_file():
        raise ValueError(
            f"{folder} has no tokenizer: neither tokenizer.json nor vocab.txt. Fetch "
            "one of them."
        )
    lower = True
    if settings.is_file():
        with reading_file(settings, "Fetch it again."):
            lower = json.loads(settings.read_text("utf-8")).get("do_lower_case", True)
    with reading_file(path, "Fetch it again."):
        words = path.read_text("utf-8").removesuffix("\n").split("\n")
        ids = {word: i for i, word in enumerate(words)}
        made = BertWordPieceTokenizer(ids, lowercase=lower)
        return Tokenizer.from_str(made.to_str())


class WordPiece:
    """BERT's tokenizer with the names of ours; a word is one piece.

    `library` is a Tokenizer of the library. ValueError if it is no WordPiece, or lacks
    one of BERT's special tokens.
    """

    def __init__(self, library):
        kind = json.loads(library.to_str())["model"]["type"]
        if kind != "WordPiece":
            raise ValueError(
                f"The tokenizer is a {kind}, not a WordPiece as BERT's is."
            )
        known = library.get_vocab()
        if missing := [name for name in ["[PAD]", *SPECIALS] if name not in known]:
            raise ValueError(f"The tokenizer has no {missing[0]}, which BERT needs.")
        if known["[PAD]"] != 0:
            raise ValueError(
                f"The tokenizer's [PAD] is id {known['[PAD]']}, but our model hides "
                "id 0; choose another checkpoint."
            )
        self.library = library
        self.library.no_padding()
        self.library.no_truncation()
        self.words = sorted(known, key=known.get)
        silent = {w for w in known if w in SPECIALS or UNUSED.fullmatch(w)}
        self.ids = {w: i for i, w in enumerate(self.words) if w not in silent}
        own = (known[name] for name in SPECIALS)
        silent_ids = tuple(sorted(known[word] for word in silent))
        self.special_tokens = SpecialTokens(*own, silent_ids)

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def load(cls, folder: str | Path) -> "WordPiece":
        """The tokenizer of a folder that also holds a BERT; else ValueError."""
        return cls(read_wordpiece(Path(folder)))

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text without blanks. One that is unknown stays as written."""
        found = self.library.encode(text, add_special_tokens=False)
        parts = zip(found.ids, found.tokens, found.offsets, strict=True)
        unk = self.special_tokens.unk
        return [text[start:end] if i == unk else t for i, t, (start, end) in parts]

    def split(self, text: str) -> list[str]:
        """The pieces of a text; blanks, `[MASK]` or `___`, stay whole."""
        text = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair
        words, start = [], 0
        for blank in BLANKS.finditer(text):
            words += [*self.pieces(text[start : blank.start()]), "[MASK]"]
            start = blank.end()
        return words + self.pieces(text[start:])

    def encode(self, text: str | list[str]) -> list[int]:
        """Ids of a text, or of a list of pieces; no special tokens are added."""
        words = self.split(text) if isinstance(text, str) else text
        return [self.ids.get(word, self.special_tokens.unk) for word in words]
