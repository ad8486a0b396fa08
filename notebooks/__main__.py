"""The commands of the notebooks.

python -m notebooks --relist         rewrite listings and set-up cells
python -m notebooks --execute [NN]   run notebooks and keep their outputs
python -m notebooks --run [NN]       run them into executed/, as a reader would
python -m notebooks --stamp SLUG     write the GitHub slug into every link
"""

import argparse
import os
import sys
from pathlib import Path

from helpers import ROOT
from helpers.notebook import writable
from notebooks.source import keep, notebooks, numbered, relist, slug, stamp
from studies.lab.command import Parser


def main() -> None:
    """The command line; see the top of this module."""
    parser = Parser(
        prog="python -m notebooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    some = {"nargs": "*", "metavar": "NN", "type": numbered}
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--relist", action="store_true")
    action.add_argument("--execute", **some)
    action.add_argument("--run", **some)
    action.add_argument("--stamp", metavar="SLUG", type=slug)
    given = parser.parse_args()
    with parser.one_sentence():
        if given.relist:
            return relist(notebooks())
        if given.stamp:
            return stamp(given.stamp)
        if given.execute is not None:  # committed outputs: always of the same kind
            os.environ |= {"MINI_TRANSFORMER_BUDGET": "quick", "TQDM_DISABLE": "1"}
            if not Path(os.environ.get("MINI_TRANSFORMER_DATA", "")).is_absolute():
                sys.exit("MINI_TRANSFORMER_DATA must name the folder of WikiText-2.")
        from notebooks.kernel import executed

        # Refused before the work, which takes minutes.
        folder = writable(ROOT / ("notebooks" if given.run is None else "executed"))
        for path in given.execute or given.run or notebooks():
            target = folder / path.name
            keep(executed(path), target)
            print(f"{path.name} ran; its outputs are in {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
