"""Times the engine on a GPU against JAX on the same one, in turns, and prints one table; `--profile` says where time goes."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from datetime import UTC, datetime

import torch

from dropclust.core import mnist, training
from dropclust.core.spec import PRECISIONS, RunSpec
from dropclust.core.stack import Stack
from tests.benchmarks import peers

IMAGES = 320_000 // peers.BATCH * peers.BATCH
ASKED = {1: 0.9, 20: 0.8, 380: 0.6}  # of JAX's time, at most, by networks at once


def specs(nets: int, precision: str) -> list[RunSpec]:
    """The default network at 19 rates for every seed; fewer than 19 networks are seeds of one rate."""
    rates = [0.05 * i for i in range(19)] if nets >= 19 * 2 else [peers.RATE]
    return [
        RunSpec(dropout=(rate,) * 3, seed=seed, precision=precision, examples=IMAGES)
        for seed in range(nets // len(rates))
        for rate in rates
    ]


def engine(nets: int, precision: str, data: mnist.Data) -> float:
    """Seconds of a whole call, from specs to networks on the processor."""
    began = time.perf_counter()
    training.fit(specs(nets, precision), data=data, curve=False, device="cuda")
    return time.perf_counter() - began


def profile(nets: int, precision: str, data: mnist.Data) -> None:
    """Print the kernels of 64 steps by the time they take, and the microseconds of a step."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    runs = specs(nets, precision)
    rows: dict[int, list[RunSpec]] = {}
    for spec in runs:
        rows.setdefault(spec.seed, []).append(spec)
    stack = Stack(list(rows.values()), data, torch.device("cuda", 0))
    with torch.inference_mode(), training.tensor_cores(stack.device), stack.queue():
        while stack.done < 64:
            stack.advance(16)
        torch.cuda.synchronize()
        began = time.perf_counter()
        while stack.done < 64 + 320:
            stack.advance(16)
        torch.cuda.synchronize()
        step = (time.perf_counter() - began) / 320
        with record(activities=[ProfilerActivity.CUDA]) as seen:
            while stack.done < 64 + 320 + 64:
                stack.advance(16)
            torch.cuda.synchronize()
    print(f"\n{nets} networks, {precision}: {step * 1e6:.0f} microseconds a step; of 64 steps:")
    events = sorted(seen.key_averages(), key=lambda event: -event.device_time_total)
    for event in events[:22]:
        print(f"{event.device_time_total / 64:9.1f} us a step, {event.count / 64:6.2f} calls  {event.key[:110]}")


def main() -> int:
    """Print the table; exit with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each takes its turn (default 3)")
    parser.add_argument("--profile", action="store_true", help="say which kernels take the time, and time nothing")
    parser.add_argument("--nets", type=int, nargs="+", default=list(ASKED), help="networks at once (default 1 20 380)")
    parsed = parser.parse_args()
    data = mnist.load()
    if parsed.profile:
        for nets in parsed.nets:
            for precision in PRECISIONS:
                profile(nets, precision, data)
        return 0
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    where = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {where}; seconds for {IMAGES:,} images\n")
    print("| networks | | seconds, median (range) | of JAX's time | asked for |\n| --- | --- | --- | --- | --- |")
    good = True
    for nets in parsed.nets:
        jax = peers.JaxScan(data, nets)
        seconds: dict[str, list[float]] = {name: [] for name in (*PRECISIONS, "JAX")}
        for number in range(parsed.rounds + 1):
            for name, times in seconds.items():
                took = jax(IMAGES) if name == "JAX" else engine(nets, name, data)
                if number:  # first times do not count
                    times.append(took)
        for name, times in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(times, seconds["JAX"], strict=True))
            asked = f"{ASKED.get(nets, 1)}" if name != "JAX" else f"compiled in {jax.compile_seconds:.1f} s"
            good &= name == "JAX" or ratio <= ASKED.get(nets, 1)
            row = f"| {nets} | {name} | {statistics.median(times):.3f} ({min(times):.3f} to {max(times):.3f})"
            print(f"{row} | {ratio:.2f} | {asked} |", flush=True)
        del jax
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
