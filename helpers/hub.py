"""WikiText-2 from the Hugging Face hub, into its cache, by its own client.

The client runs in a process of its own, because it tries again for minutes where a hub
stalls, and nothing else can end it. Left out: every other data set.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from logging.handlers import BufferingHandler

from tqdm.auto import tqdm

from helpers import ROOT

REPOSITORY, CONFIG = "Salesforce/wikitext", "wikitext-2-v1"
REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"
SPLITS = "train", "validation", "test"
FILES = [f"{CONFIG}/{split}-00000-of-00001.parquet" for split in SPLITS]
PATIENCE = 10.0  # seconds without a new byte, after which the hub is given up
# No token is asked for, and the bytes come by HTTP, where they can be counted.
SETTINGS = {
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_XET": "1",
    "PYTHONIOENCODING": "utf-8:backslashreplace",
}


def cause(error: BaseException) -> str:
    """What was at the bottom of an error, in one line."""
    while error.__cause__:
        error = error.__cause__
    text = str(error).strip().partition("\n")[0].rstrip(".:")
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def fetch() -> None:
    """Fetches the files anew, with a bar. Raises ConnectionError with the cause.

    A slow download goes on; one that brings no new byte for `PATIENCE` seconds ends.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE forbids to ask the hub")
    places = constants.ENDPOINT, constants.HF_HUB_CACHE, str(PATIENCE)
    child = subprocess.Popen(
        [sys.executable, "-m", "helpers.hub", *places],
        cwd=ROOT,
        env=os.environ | SETTINGS,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    line = ""
    with child:
        try:
            how = {"unit": "B", "unit_scale": True, "leave": False}
            with tqdm(desc="WikiText-2", **how) as bar:
                for line in child.stdout:
                    if line.strip().isdigit():
                        bar.update(int(line) - bar.n)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise ConnectionError(line.strip() or "the download did not begin")


class Arrival:
    """Stands in for the client's bars: tells how many bytes have come in all."""

    done = most = 0
    last = time.monotonic()

    def __init__(self, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, size: int) -> None:
        """Counts what arrives; where the client begins anew, it is old at first."""
        Arrival.done += size
        if Arrival.done > Arrival.most:
            Arrival.most, Arrival.last = Arrival.done, time.monotonic()
            print(Arrival.most, flush=True)


def main(endpoint: str, cache: str, patience: str) -> None:
    """The process of `fetch`: prints the bytes so far, or at last a cause."""

    def end(status: int, line: str = "") -> None:
        print(line, flush=True)
        os._exit(status)  # no thread of the client is waited for

    def watch() -> None:
        while time.monotonic() - Arrival.last < float(patience):
            time.sleep(0.05)
        why = f"nothing has arrived from the hub for {float(patience):g} s"
        tried = [record.getMessage().partition("\n")[0] for record in log.buffer[-1:]]
        end(1, "; ".join([why, *tried]))

    log = BufferingHandler(10**6)
    logging.getLogger("huggingface_hub").addHandler(log)
    threading.Thread(target=watch, daemon=True).start()
    try:
        from huggingface_hub import constants, hf_hub_download

        constants.DOWNLOAD_CHUNK_SIZE = 2**14  # else 10 MB count as one step
        Arrival.last = time.monotonic()
        for name in FILES:
            hf_hub_download(
                REPOSITORY,
                name,
                repo_type="dataset",
                revision=REVISION,
                endpoint=endpoint,
                cache_dir=cache,
                force_download=True,  # what lies there is missing or damaged
                tqdm_class=Arrival,
            )
    except Exception as error:
        local = isinstance(error, OSError) and error.errno is not None
        end(1, f"the cache {cache} cannot be written: " * local + cause(error))
    end(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
