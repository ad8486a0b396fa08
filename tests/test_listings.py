"""The listings: each part of the series is shown, and its reader can change it."""

import ast

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_notebook

from helpers import ROOT
from notebooks.listings import LISTING
from notebooks.notebook_files import notebook_paths, numbered_notebook, read_notebook

TAUGHT = "tokenizer bpe layers masking data model optimize train evaluate".split()
NOT_LISTED = {
    "require_model_config",  # says which sizes go together; 02 and 03 meet them
    "require_scorable_ids",  # refuses a text that is encoded for another model
    "require_scorable_data",  # refuses a text that is cut for another model
    "require_model_vocabulary",  # refuses a tokenizer of another model
    "shallow_model_copy",  # leaves alone a reader's model, whose mode is its own
    "attend_fused",  # `attend` as torch has it; 02 compares the two
    "gather_positions",  # takes some positions of a row; 02 and 03 use it
    "fast_bfloat16",  # asks the hardware
    "orthogonalise",  # Muon's products of matrices; 04 says what they do, and where
    "Muon",  # a running mean as AdamW has, and a step along its orthogonal matrix
    "memory_advice",  # says what to try where a batch does not fit into memory
    "encode_lines",  # calls the tokenizer of 01 once for each line
    "pad_rows",  # adds [PAD]; `pad` and `bucket` in 07 say how much
    "steps_per_epoch",  # a division, which 04 and 07 use
    "tokenizer_entry",  # refuses an id that the vocabulary lacks
    "split_chunks",  # is one regular expression; 01 shows its pieces
    "count_chunks",  # counts these pieces
    "chunk_bytes",  # is UTF-8, with a rule for half a character
    "decode_bytes",  # the way back
    "token_bytes",  # the bytes of each id, which 01 shows at work
}


def test_everything_public_is_listed():
    cells = (cell for path in notebook_paths() for cell in read_notebook(path).cells)
    marks = [LISTING.match(cell.source) for cell in cells]
    listed = {(mark[2], mark[1]) for mark in marks if mark}
    public = {
        (module, node.name)
        for module in TAUGHT
        for node in ast.parse((ROOT / f"helpers/{module}.py").read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    missing = {f"{m}.{name}" for m, name in public - listed if name not in NOT_LISTED}
    assert missing == set() and {*NOT_LISTED} <= {name for _, name in public - listed}


def test_an_edited_listing_changes_the_next_result():
    """In notebook 02, `attend` without its scaling no longer equals the loops."""
    cells = read_notebook(numbered_notebook("02")).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    sources = [cell.source for cell in code]
    place = next(i for i, s in enumerate(sources) if s.startswith("# %load -s attend "))
    last = next(i for i in range(place, len(code)) if "check(" in sources[i])
    code[place].source = sources[place].replace(" / q_BHTK.shape[-1] ** 0.5", "")
    assert code[place].source != sources[place]
    where = {"metadata": {"path": str(ROOT / "notebooks")}}
    lesson = new_notebook(cells=code[: last + 1])
    with pytest.raises(CellExecutionError, match="✗ the vectorised form gives"):
        NotebookClient(lesson, kernel_name="python3", resources=where).execute()
