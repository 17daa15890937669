"""Writers and searchers at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SEARCHERS = 3


def search_while_written(
    write: Callable[[], None], search: Callable[[threading.Event], None], *, writers: int = 1
) -> None:
    """Has searchers search until all writers are done, and raises what failed in any of them.

    Args:
        write: what each writer does, once.
        search: what each searcher does, until the event is set.
        writers: how many.
    """
    written = threading.Event()
    with ThreadPoolExecutor(writers + SEARCHERS) as threads:
        writing = [threads.submit(write) for _ in range(writers)]
        searching = [threads.submit(search, written) for _ in range(SEARCHERS)]
        try:
            for writer in writing:
                writer.result()
        finally:
            written.set()
        for searcher in searching:
            searcher.result()
