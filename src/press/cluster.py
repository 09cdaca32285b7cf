"""Workers that take jobs: of a Dask scheduler somewhere, or of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from press.book import BookError

if TYPE_CHECKING:
    import distributed

# For what Dask tells about itself. None would still listen, at a port that may be taken.
LOOPBACK = "127.0.0.1:0"


@contextmanager
def workers(
    scheduler: str | None, count: int, *, processes: bool = True, security: Any = None
) -> Iterator["distributed.Client"]:
    """Yield a Dask client: of the scheduler at that address, or of workers on this machine.

    Those are ``processes``, or else threads, for which no port is opened that takes work.
    """
    import distributed

    if scheduler:
        try:
            client = distributed.Client(scheduler, timeout="10s", security=security)
        except (OSError, ValueError) as error:
            raise BookError(f"no Dask scheduler answers at {scheduler}: {error}") from error
        with client:
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=processes,
            dashboard_address=LOOPBACK,
            worker_dashboard_address=LOOPBACK,
            memory_limit=0,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
