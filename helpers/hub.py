"""WikiText-2 from the Hugging Face hub, by the hub's own client, into its cache.

Left out: every other data set.
"""

import logging
import queue
import threading
import time

from tqdm.auto import tqdm

REPOSITORY, CONFIG = "Salesforce/wikitext", "wikitext-2-v1"
REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"
SPLITS = "train", "validation", "test"
FILES = [f"{CONFIG}/{split}-00000-of-00001.parquet" for split in SPLITS]
PATIENCE = 10.0  # seconds without a new byte, after which the hub is given up


def cause(error: BaseException) -> str:
    """What was at the bottom of an error, in one line."""
    while error.__cause__:
        error = error.__cause__
    text = str(error).strip().partition("\n")[0].rstrip(".:")
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def fetch(arrivals: queue.Queue, given_up: threading.Event) -> None:
    """Has the client download the files, over what lies in its cache.

    Puts the number of bytes into the queue whenever some arrive, and at the end None or
    the error. Once the download is given up, it ends with the next byte.
    """
    from huggingface_hub import hf_hub_download

    class Report(tqdm):
        """Takes the place of the client's bars, of which there is one a file."""

        def __init__(self, **options):
            super().__init__(disable=True)

        def update(self, size: int = 1) -> None:
            if given_up.is_set():
                raise InterruptedError("Nobody waits for this download any more.")
            arrivals.put(size)

    where = {"repo_type": "dataset", "revision": REVISION, "token": False}
    how = {"force_download": True, "tqdm_class": Report}
    try:
        for name in FILES:
            hf_hub_download(REPOSITORY, name, **where, **how)
        arrivals.put(None)
    except Exception as error:
        arrivals.put(error)


def download() -> None:
    """Downloads the files into the client's cache, with a bar.

    A slow download goes on. Raises ConnectionError with the cause if it fails, or if
    nothing has arrived for `PATIENCE` seconds. Where a hub stalls the client tries it
    again for minutes and cannot be stopped, so it works in a thread of its own.
    """
    from huggingface_hub import close_session, constants

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE forbids asking the hub")
    constants.DOWNLOAD_CHUNK_SIZE = 2**16  # else bytes are counted in steps of 10 MB
    constants.HF_HUB_DISABLE_XET = True  # plain HTTP counts them as they arrive
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # not each new try
    close_session()  # the next one knows of a proxy that was set since
    arrivals, given_up = queue.Queue(), threading.Event()
    threading.Thread(target=fetch, args=(arrivals, given_up), daemon=True).start()
    total, most, deadline = 0, 0, time.monotonic() + PATIENCE
    try:
        with tqdm(desc="WikiText-2", unit="B", unit_scale=True, leave=False) as bar:
            while True:
                arrival = arrivals.get(timeout=max(0, deadline - time.monotonic()))
                if arrival is None:
                    return
                if isinstance(arrival, Exception):
                    raise ConnectionError(cause(arrival)) from arrival
                total += arrival
                if total > most:  # bytes that come a second time are no progress
                    bar.update(total - most)
                    most, deadline = total, time.monotonic() + PATIENCE
    except queue.Empty:
        why = f"nothing has arrived from the hub for {PATIENCE:g} s"
        raise ConnectionError(why) from None
    finally:
        given_up.set()
