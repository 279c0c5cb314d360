"""A name for content, so that what is made of it can be kept: equal content has the same, and of one object it is made once."""

from __future__ import annotations

import copyreg
import hashlib
import io
import pickle
import weakref
from contextlib import suppress
from types import MappingProxyType

# How content is written for its digest: what is read-only to others is written as what it shows.
_WRITTEN = {**copyreg.dispatch_table, MappingProxyType: lambda shown: (dict, (dict(shown),))}
_digests: dict[int, tuple[weakref.ref[object], bytes]] = {}


def digest_of(info: object) -> bytes:
    """`digest`, of one object once: of a frozen dataclass, for what might be changed is looked at again."""
    number = id(info)
    known = _digests.get(number)
    if known is not None and known[0]() is info:
        return known[1]
    made = digest(info)
    parameters = getattr(type(info), "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        with suppress(TypeError):  # of slots without a place for it
            _digests[number] = weakref.ref(info, lambda gone: _forget(number, gone)), made
    return made


def _forget(number: int, gone: weakref.ref[object]) -> None:
    """Another object may have the number of one that is gone."""
    known = _digests.get(number)
    if known is not None and known[0] is gone:
        _digests.pop(number, None)


def digest(content: object) -> bytes:
    """A name for content, of 16 bytes: what differs has another, and what is made in the same way has the same.

    Examples
    --------
    >>> digest(("a", 1)) == digest(("a", 1)), digest(("a", 1)) == digest(("a", 2))
    (True, False)
    """
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol=5)
    pickler.dispatch_table = _WRITTEN
    pickler.dump(content)
    return hashlib.blake2b(written.getbuffer(), digest_size=16).digest()
