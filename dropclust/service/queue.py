"""What those who borrow workers need of `dropclust.service.jobs.Jobs`, whom tests may stand in for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Workers(Protocol):
    """Workers that come up when they are needed."""

    @property
    def failure(self) -> str | None:
        """Why there is no worker and will be none."""

    @property
    def ready(self) -> bool:
        """Whether a worker is there."""

    def start(self) -> None:
        """Bring the cluster up."""


class Ahead(Workers, Protocol):
    """Workers that do something else before the next run."""

    def ahead(self, function: Callable[..., Any], *arguments: Any, key: str, topic: str, hear: Callable[[Any], None]) -> Any:
        """Hand a function to a worker, ahead of all runs; returns Dask's future."""

    def end_worker(self, address: str, pid: int) -> None:
        """End a worker process, whatever it does; another takes its place."""
