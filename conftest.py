"""What all tests share: a small budget, no bars, and which outputs are compared."""

import os
from functools import cache

os.environ["MINI_TRANSFORMER_BUDGET"] = "quick"
os.environ["TQDM_DISABLE"] = "1"

import pytest
from nbval.plugin import IPyNbCell

from helpers import ROOT
from helpers.corpus import WIKITEXT, load_corpus

corpus_at_hand = cache(load_corpus)

# In kernels and commands, our own modules show every warning; .ci/run asks for more.
filters = [os.environ["PYTHONWARNINGS"]] if "PYTHONWARNINGS" in os.environ else []
for folder in ("explorer", "helpers", "interop", "studies"):
    for path in (ROOT / folder).rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        filters.append(f"default:::{module}")
os.environ["PYTHONWARNINGS"] = ",".join(filters)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fails a cell that warns, also where its output is not compared."""
    result = yield
    for output in getattr(item, "test_outputs", None) or ():
        if output.get("name") == "stderr":
            pytest.fail(f"The cell wrote to stderr: {output['text']}")
    return result


@pytest.fixture(scope="session")
def wikitext():
    """WikiText-2; a test that asks for it is skipped where it is not at hand."""
    if corpus_at_hand().name != WIKITEXT:
        pytest.skip("WikiText-2 is not at hand")
    return corpus_at_hand()


def pytest_collection_modifyitems(items):
    """Compares cells tagged `wikitext` where WikiText-2 is at hand, else only runs."""
    cells = [item for item in items if isinstance(item, IPyNbCell)]
    for item in cells:
        item.output_timeout = 60  # nbval's 5 seconds are too few on a busy machine
    tagged = [c for c in cells if "wikitext" in c.cell.metadata.get("tags", [])]
    if tagged and corpus_at_hand().name != WIKITEXT:
        for item in tagged:
            item.options["check"] = False
