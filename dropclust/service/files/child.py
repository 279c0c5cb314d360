"""Readers of formats that take a library, run in a process of their own with little memory and little time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dropclust.service.files.common import LoadError
from dropclust.service.files.raw import Raw, pack, unpack

MEMORY, SECONDS = 300 * 2**20, 20
_STARTING = 60  # seconds more, for importing a library on a busy machine
_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from dropclust.service.files.child import main; main(sys.argv[2])"
KINDS = ("onnx", "keras", "torch")


def read(kind: str, data: bytes) -> Raw:
    """Let a process of its own read ``data``: at most 300 MiB above the file, and 20 seconds.

    Raises
    ------
    LoadError
        What the reader said, or that it needed too much.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    try:
        # -I: no file of the current folder is imported for a module.
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM, str(_ROOT), kind],
            input=data, capture_output=True, timeout=SECONDS + _STARTING, env=environment, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"could not be read within {SECONDS} seconds") from error
    if done.returncode == 0 and done.stdout[:1] == b"+":
        return unpack(done.stdout[1:])
    if done.returncode == 0 and done.stdout[:1] == b"-":
        raise LoadError(done.stdout[1:].decode("utf-8", "replace"))
    raise LoadError(
        f"could not be read: its reader needed more than {MEMORY >> 20} MiB above the file or {SECONDS} seconds, or stopped"
    )


def main(kind: str) -> None:
    """Read a file from standard input and write what it holds, or one sentence, to standard output."""
    data = sys.stdin.buffer.read()
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        reader = _reader(kind)
        _limit(len(data))
        content = b"+" + pack(reader(data))
    except LoadError as error:
        content = b"-" + str(error).encode("utf-8", "replace")
    with answer:
        answer.write(content)
    answer.close()
    os._exit(0)  # libraries take their time to leave


def _reader(kind: str):  # type: ignore[no-untyped-def]
    """The reader of a kind, its library imported."""
    if kind == "onnx":
        import onnx  # noqa: F401

        from dropclust.service.files.onnx import read as read_onnx

        return read_onnx
    if kind == "torch":
        import torch  # noqa: F401

        from dropclust.service.files.torch_file import read as read_torch

        return read_torch
    from dropclust.service.files.keras import need_h5py
    from dropclust.service.files.keras import read as read_keras

    need_h5py()
    return read_keras


def _limit(size: int) -> None:
    """Bound what this process may still take: data beyond what it has now, and seconds of its processor."""
    try:
        import resource
    except ImportError:  # no such limits on this system: the time of the caller is all
        return
    spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    seconds = int(spent) + SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text("ascii").splitlines() if line.startswith("VmData:")]
        most = 1024 * int(line.split()[1]) + MEMORY + size
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
