"""The commands of the notebooks.

python -m notebooks --relist         rewrite listings and set-up cells
python -m notebooks --execute [NN]   run notebooks and keep their outputs
python -m notebooks --run [NN]       run them into executed/, as a reader would
python -m notebooks --stamp SLUG     write the GitHub address into every link
"""

import argparse
import os
from pathlib import Path

from helpers import ROOT
from notebooks.address import repository_slug, stamp_address
from notebooks.listings import relist_notebooks
from notebooks.notebook_files import notebook_paths, numbered_notebook, write_notebook


def run_notebooks(paths: list[Path], folder: Path) -> None:
    """Runs notebooks and keeps their outputs in a folder."""
    from notebooks.kernel import execute_notebook

    folder.mkdir(exist_ok=True)  # or it is refused before the work, which takes minutes
    for path in paths:
        write_notebook(execute_notebook(path), folder / path.name)
        place = (folder / path.name).relative_to(ROOT)
        print(f"{path.name} ran; its outputs are in {place}")


def main() -> None:
    """Runs the command line; see the top of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m notebooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    some = {"nargs": "*", "metavar": "NN", "type": numbered_notebook}
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--relist", action="store_true")
    action.add_argument("--execute", **some)
    action.add_argument("--run", **some)
    action.add_argument("--stamp", metavar="SLUG", type=repository_slug)
    given = parser.parse_args()
    try:
        if given.relist:
            relist_notebooks(notebook_paths())
        elif given.stamp:
            stamp_address(given.stamp)
        elif given.run is not None:
            run_notebooks(given.run or notebook_paths(), ROOT / "executed")
        else:  # committed outputs are always of the same kind
            os.environ |= {"MINI_TRANSFORMER_BUDGET": "quick", "TQDM_DISABLE": "1"}
            if not Path(os.environ.get("MINI_TRANSFORMER_DATA", "")).is_absolute():
                raise ValueError(
                    "MINI_TRANSFORMER_DATA must name the folder of WikiText-2."
                )
            run_notebooks(given.execute or notebook_paths(), ROOT / "notebooks")
    except KeyboardInterrupt:
        parser.exit(130, f"{parser.prog}: interrupted.\n")
    except (ValueError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
