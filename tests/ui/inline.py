"""The workers' answers in a page's own process, at once: what pages show of them is tested without a cluster."""

from __future__ import annotations

from dropclust.service import work
from dropclust.service.requests import Request
from dropclust.service.tasks import Task


class Inline:
    """Stands in for `dropclust.service.tasks.Tasks`; ``asked`` are the requests that were worked on."""

    again = 0.2  # seconds

    def __init__(self) -> None:
        self.results: dict[str, dict] = {}
        self.asked: list[Request] = []
        self.held: set[str] = set()  # names of functions that do not answer

    def ask(self, request: Request, asker: str = "", patience: float = 0.0) -> Task:
        """The answer of `work.perform`, as it would come from a worker; errors are not kept."""
        if request.function in self.held:
            return Task(request.key, request.label, "waiting", 1)
        if request.key not in self.results:
            self.asked.append(request)
            result = work.perform(*request.sent(same_machine=True), "", "")
            if "error" in result:
                return Task(request.key, request.label, "failed", error=result["error"], message=result["message"])
            self.results[request.key] = result
        return Task(request.key, request.label, "done", answer=self.results[request.key]["answer"])
