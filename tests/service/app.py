"""A small app in a process of its own: trains one real run, says how it went, and waits to be killed."""

import json
import sys
import time

from dropclust.core.spec import RunSpec
from dropclust.service.jobs import ENDED, Jobs
from dropclust.service.store import Store


class Told(Jobs):
    """The queue, which tells where its cluster keeps its keys."""

    folder = ""

    def _serve(self, cluster):
        self.folder = str(cluster.folder)
        super()._serve(cluster)


queue = Told(Store(sys.argv[1]), workers=1, calibrate=None)
spec = RunSpec(hidden=(20, 20, 20), dropout=(0.1, 0.1, 0.1), examples=64_000)
queue.submit(spec)
while queue.get(spec.key).state not in ENDED:
    time.sleep(0.01)
run, stored = queue.get(spec.key), queue._store.get(spec.key)
print(
    json.dumps(
        {
            "state": run.state,
            "message": run.message,
            "folder": queue.folder,
            "torch": "torch" in sys.modules,
            "metrics": stored.metrics if stored else {},
        }
    ),
    flush=True,
)
time.sleep(60)
