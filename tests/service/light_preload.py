"""The guards of the real preload without torch, so that the tests of the queue need not wait for it."""

import os
import sys
from pathlib import Path

from dropclust.service import preload

BROKEN = "DROPCLUST_TEST_BROKEN"  # names a file; while it exists, a worker's preload raises


def dask_setup(server):
    is_worker = type(server).__name__ == "Worker"
    preload.or_end_process(preload.end_with_nanny if is_worker else preload.end_with_app)
    broken = os.environ.get(BROKEN)
    if is_worker and broken and Path(broken).exists():
        preload.or_end_process(lambda: sys.modules["a module that nobody has"])
