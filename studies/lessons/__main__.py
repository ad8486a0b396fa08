"""Every lesson of the project's origin, measured: `python -m studies.lessons --help`.

Trains what is missing, an arm and a seed at a time, times a step of each arm beside one
of the base, then decides each claim by what the records say, and draws it.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed

import torch
from matplotlib.figure import Figure

from helpers import ROOT, record
from helpers.corpus import require_wikitext
from helpers.figure import png
from helpers.files import write_whole
from studies.lab.command import COUNT, SEED, command
from studies.lessons.arms import ARMS
from studies.lessons.costs import measure, untimed
from studies.lessons.figures import drawable, length_figure
from studies.lessons.runs import RECORDS, run
from studies.lessons.summary import summarise
from studies.lessons.tables import SEEDS, lessons_table


def make(jobs: list[tuple[str, int]], processes: int) -> None:
    """Makes the runs whose records are missing, `processes` at a time.

    Where one fails, or Ctrl-C is pressed, those under way end without a record.
    """
    threads = max(1, torch.get_num_threads() // processes)
    # Spawned, since threads of PyTorch do not survive a fork.
    how = multiprocessing.get_context("spawn"), torch.set_num_threads, (threads,)
    pool = ProcessPoolExecutor(processes, *how)
    try:
        running = [pool.submit(run, *job) for job in jobs]
        for done, finished in enumerate(as_completed(running), 1):
            found = finished.result()
            name = f"{found['arm']}, seed {found['seed']}"
            loss = f"{found['validation']['loss']:.3f} nats"
            print(f"{done} of {len(jobs)}: {name}: {loss}", flush=True)
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def figures(summary: dict) -> dict[str, Figure]:
    """All figures of the lessons, by the names of their files."""
    growth = record.read(RECORDS.parent / "growth.json")
    found = (row["found"] for row in summary["claims"])
    parts = next(part for part in found if "written" in part)
    drawn = {"length": length_figure(growth, parts)} | drawable(summary)
    return {f"lesson_{name}.png": figure for name, figure in drawn.items()}


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, then summarises and draws."""
    parser = command(
        "lessons",
        "Train the arms of the lessons over their seeds, resumable; runs whose record "
        "exists are skipped. Then time a step of each arm that has no time on record, "
        "and write the summary, the figures and the table.",
    )
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=SEED, default=list(range(SEEDS)))
    parser.add_argument("--processes", type=COUNT, default=1, help="runs at a time")
    parser.add_argument("--summary", action="store_true", help="train nothing")
    given = parser.parse_args(arguments)
    with parser.one_sentence():
        if not given.summary:
            require_wikitext()
            jobs = [(arm, seed) for arm in given.arms for seed in given.seeds]
            make(jobs, given.processes)
            if names := untimed():
                measure(names)
        elif names := untimed():
            raise ValueError(
                f"No step times of {', '.join(names)}: leave out --summary."
            )
        summary = summarise()
        for name, figure in figures(summary).items():
            write_whole(ROOT / "plots" / name, png(figure))
        print(lessons_table(summary))


if __name__ == "__main__":
    main()
