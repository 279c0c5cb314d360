"""What the processes of a pool have in common, imported and read once: they are forked from the one that imports this.

Nothing here may start a thread or speak to a GPU: neither survives a fork.
"""

from __future__ import annotations

from contextlib import suppress

import pandas  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.cluster
import sklearn.metrics  # noqa: F401
import torch

from dropclust import experiments
from dropclust.core import compression, mnist, prediction, similarity, training, twins  # noqa: F401
from dropclust.service import reproduce  # noqa: F401

torch.set_num_threads(1)
for _name in experiments.NAMES:
    experiments.get(_name)
with suppress(FileNotFoundError):  # the work that needs them says so
    mnist.load().train_lit  # noqa: B018
