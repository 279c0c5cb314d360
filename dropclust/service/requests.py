"""What a page may ask the workers for: a function's name, plain arguments, networks; equal requests have equal keys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from dropclust.service.files.common import canonical
from dropclust.service.plain import Plain
from dropclust.service.store import Store

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Origin:
    """Where a worker finds a network.

    Parameters
    ----------
    stamp
        What the network is told from others by: digest of its weights, or key and file of a stored run.
    content
        The network itself; it need not be sent where ``root`` is given.
    key, root, shipped
        A run of the store in the folders ``root`` and ``shipped``, for workers on the same machine.
    """

    stamp: str
    content: Plain | None = field(default=None, compare=False)
    key: str = field(default="", compare=False)
    root: Path | None = field(default=None, compare=False)
    shipped: Path | None = field(default=None, compare=False)

    @classmethod
    def stored(cls, store: Store, key: str) -> Origin:
        """A run of a store.

        Raises
        ------
        LookupError
            When it is not there.
        """
        stamp = store.stamp(key)
        if stamp is None:
            raise LookupError(f"the run {key[:12]} is not in the store")
        folders = [None if root is None else root.resolve() for root in store.roots]
        return cls("-".join(map(str, (key, *stamp))), None, key, *folders)

    @classmethod
    def brought(cls, network: Plain) -> Origin:
        """A network that is in no store."""
        return cls(network.digest, network)

    def sent(self, same_machine: bool) -> Origin:
        """As it goes to a worker: its path to one on this machine, else all of it.

        Raises
        ------
        LookupError
            When it is a stored run that has gone meanwhile.
        """
        if self.root is None or same_machine:
            return self
        return Origin(self.stamp, self.read())

    def read(self) -> Plain:
        """The network; raises `LookupError` when it is a stored run that has gone meanwhile."""
        if self.content is not None:
            return self.content
        assert self.root is not None
        stored = Store(self.root, shipped=self.shipped).get(self.key)
        if stored is None:
            raise LookupError(f"the run {self.key[:12]} is not in the store")
        return Plain(stored.weights, stored.biases, stored.spec)


@dataclass(frozen=True, eq=False)
class Request(Generic[Answer]):
    """One question to the workers, of which they make an ``Answer``.

    Parameters
    ----------
    function
        A name in `dropclust.service.work.FUNCTIONS`.
    arguments
        JSON values by name.
    networks
        The networks it is about, in the function's order.
    label
        What a viewer reads while it is waited for, such as "Drawing masks".
    content
        Bytes that the request is about, such as an uploaded file's.
    stamp
        What the content is told from others by; "" takes its digest.
    """

    function: str
    arguments: dict[str, Any]
    networks: tuple[Origin, ...] = ()
    label: str = "At work"
    content: bytes = b""
    stamp: str = ""

    @cached_property
    def key(self) -> str:
        """64 hex digits: SHA-256 of the canonical JSON of function, arguments and the networks' stamps, and the content's."""
        asked = [self.function, self.arguments, [origin.stamp for origin in self.networks]]
        seen = [canonical(asked), self.stamp or hashlib.sha256(self.content).hexdigest()]
        return hashlib.sha256(canonical(seen).encode("ascii")).hexdigest()

    def sent(self, same_machine: bool) -> tuple[str, dict[str, Any], tuple[Origin, ...], bytes]:
        """What travels to the worker; raises `LookupError` as `Origin.sent`."""
        return self.function, self.arguments, tuple(origin.sent(same_machine) for origin in self.networks), self.content
