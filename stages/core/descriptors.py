"""File descriptors: raise the soft limit to the hard one, and see how many connections fit.

The manual's `ulimit -SHn 100000` is done here as far as this process may: the hard limit is the host's to set.
"""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger("longline.core.descriptors")

#: Descriptors that everything but the connections needs: standard streams, the loop, logs, databases, brokers.
RESERVED: Final = 32

#: What is assumed where the limit cannot be asked for (no `resource` module): C run-times allow 512 and more.
UNKNOWN_LIMIT: Final = 512

#: Where the hard limit is infinite: Linux's own bound of one process (fs.nr_open) by default.
NO_LIMIT: Final = 1_048_576


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the soft limit as far as allowed. Returns (soft, hard) as they are now."""
    try:
        import resource
    except ImportError:
        return UNKNOWN_LIMIT, UNKNOWN_LIMIT
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError) as error:  # macOS refuses infinity
            log.info("the soft limit of descriptors stays at %d: %s", soft, error)
    infinity = resource.RLIM_INFINITY
    return (NO_LIMIT if soft == infinity else soft), (NO_LIMIT if hard == infinity else hard)


def fit_concurrency(wanted: int, limit: int) -> int:
    """How many of `wanted` connections fit into `limit` descriptors (at least 1); a warning says when not all do."""
    fits = max(1, limit - RESERVED)
    if wanted <= fits:
        return wanted
    log.warning(
        "%d connections at once do not fit into %d file descriptors: doing %d; raise the limit (ulimit -Hn) for more",
        wanted,
        limit,
        fits,
    )
    return fits
