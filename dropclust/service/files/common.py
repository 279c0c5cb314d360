"""What all formats share: limits of what is read, the sealed description, and the one error for what cannot be read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

MAX_FILE_BYTES = 64 * 2**20  # a file on this machine, an uploaded one, and a stored run
MAX_HEADER_BYTES = 2**20
MAX_PARAMETERS = 10_000_000  # 2000-2000-2000, the widest network of this project, has 9.6 million
MAX_TENSORS = 128  # seven layers with their normalisations, and what a checkpoint holds beside them
MARK = "dropclust"  # the metadata key
_OURS = ('"_sha256":', '"tensors_sha256":', '"format":"dropclust ')  # one flipped bit leaves two of them as they were


class LoadError(ValueError):
    """A file that is not a network this project reads: one sentence says why."""


def canonical(value: object) -> str:
    """JSON with sorted names and no spaces, ASCII only, so that equal values give equal text.

    Examples
    --------
    >>> canonical({"b": [1, 2], "a": None})
    '{"a":null,"b":[1,2]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parse_json(text: str) -> Any:
    """Read JSON as strictly as a file from outside deserves.

    Raises
    ------
    LoadError
        On text that is not JSON, on NaN and on a name that stands twice.

    Examples
    --------
    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    dropclust.service.files.common.LoadError: has a header or description that is not valid JSON
    """

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(members := dict(items)) != len(items):
            raise ValueError("a name stands twice")
        return members

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise LoadError("has a header or description that is not valid JSON") from error


def tensor_digest(tensors: Mapping[str, Array]) -> str:
    """SHA-256 over names, shapes and little-endian float32 bytes, in the order of the names: 64 hex digits.

    Examples
    --------
    >>> tensor_digest({"a": np.zeros(2, np.float32)}) == tensor_digest({"a": np.zeros((1, 2), np.float32)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(canonical([name, list(tensors[name].shape)]).encode("ascii"))
        digest.update(np.ascontiguousarray(tensors[name], "<f4").tobytes())
    return digest.hexdigest()


def seal(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> str:
    """Canonical JSON of ``facts`` with two digests more: of the tensors and, sorted first, of all the rest of the JSON.

    They find damage, not forgery: whoever changes a file on purpose can write new digests.

    Examples
    --------
    >>> sorted(unseal(seal({"note": "mine"}, {})))
    ['note', 'tensors_sha256']
    """
    rest = canonical({**facts, "tensors_sha256": tensor_digest(tensors)})
    return _sealed(hashlib.sha256(rest.encode("ascii")).hexdigest(), rest)


def is_ours(text: str) -> bool:
    """Whether a text is a description that `seal` wrote, if need be with a flipped bit; a mere mention of us is none."""
    return sum(word in text for word in _OURS) >= 2


def flip_code(tensors: Mapping[str, Array]) -> list[int]:
    """Two numbers that tell one flipped bit from all other changes: its bit in a word, and the word.

    Of the little-endian 32-bit words of all tensors, in the order of their names: the exclusive or of all of them, and the
    exclusive or of the places, counted from 1, of those with an odd number of ones.
    """
    column, place, begin = 0, 0, 1
    for name in sorted(tensors):
        words = np.ascontiguousarray(tensors[name], "<f4").reshape(-1).view("<u4")
        column ^= int(np.bitwise_xor.reduce(words, initial=0))
        odd = np.flatnonzero(np.bitwise_count(words) & 1) + begin
        place ^= int(np.bitwise_xor.reduce(odd, initial=0))
        begin += words.size
    return [column, place]


def is_one_flip(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> bool:
    """Whether tensors that are not those that were sealed become them when a single bit is turned back."""
    code = facts.get("flip_code")
    if not (isinstance(code, list) and len(code) == 2 and all(type(number) is int for number in code)):
        return False
    column, place = (was ^ now for was, now in zip(code, flip_code(tensors), strict=True))
    if column.bit_count() != 1 or not 1 <= place <= sum(tensor.size for tensor in tensors.values()):
        return False
    mended = {name: np.array(tensor, "<f4", order="C") for name, tensor in tensors.items()}
    index = place - 1
    for name in sorted(mended):
        if index < mended[name].size:
            mended[name].reshape(-1).view("<u4")[index] ^= np.uint32(column)
            break
        index -= mended[name].size
    return tensor_digest(mended) == str(facts["tensors_sha256"])


def _sealed(sha256: str, rest: str) -> str:
    return f'{{"_sha256":"{sha256}",{rest[1:]}'


def unseal(text: str) -> dict[str, Any]:
    """Read the facts back that `seal` wrote, ``tensors_sha256`` among them, and check the JSON's own digest.

    Raises
    ------
    LoadError
        When any character is not as it was written.
    """
    begins = len(_sealed("0" * 64, "{"))
    rest = "{" + text[begins:]
    if text != _sealed(hashlib.sha256(rest.encode("utf-8", "replace")).hexdigest(), rest):
        raise LoadError("is damaged: its description does not match its checksum")
    facts = parse_json(rest)
    if not isinstance(facts.get("tensors_sha256"), str):
        raise LoadError("is damaged: its description names no checksum of the weights")
    return dict(facts)


def check_tensors(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    """Raise `LoadError` unless the tensors are those that were sealed."""
    if tensor_digest(tensors) != facts["tensors_sha256"]:
        raise LoadError("is damaged: its weights do not match their checksum")


def still_ours(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> bool:
    """Whether the tensors are those that were sealed; False when somebody changed them.

    Raises
    ------
    LoadError
        When they differ in one bit: that is damage and nobody's work.
    """
    if tensor_digest(tensors) == facts["tensors_sha256"]:
        return True
    if is_one_flip(facts, tensors):
        raise LoadError("is damaged: its weights do not match their checksum, by one bit")
    return False


def float32(values: npt.NDArray[Any]) -> Array:
    """The values as float32, shared where they are that already."""
    with np.errstate(all="ignore"):  # what overflows becomes infinite, and `Network` refuses it
        return values.astype(np.float32, copy=False)


def check_count(counts: Iterable[int]) -> None:
    """Raise `LoadError` when a file's tensors hold more than ten million numbers together."""
    if (count := sum(counts)) > MAX_PARAMETERS:
        raise LoadError(f"must hold at most {MAX_PARAMETERS:,} numbers; got {count:,}")


def short(*names: str) -> str:
    """Names from outside, fit for one line of text."""
    text = ", ".join(ascii(name[:60]) for name in names[:6])
    return text + (f" and {len(names) - 6} more" if len(names) > 6 else "")
