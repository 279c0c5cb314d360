"""Times the engine against what its users could pick instead, interleaved in one run, and prints one table."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import torch

from dropclust.core import calibration, intervals, metrics, mnist, prediction, similarity, training
from dropclust.core.spec import PRECISIONS, RunSpec
from tests.benchmarks import contenders, peers

EPOCH = 60_000  # images, as everybody counts them


def interleave(sizes: dict[str, int], rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each contender in each round, and what it took to compile.

    All take their turn in every round, so that they share what disturbs them; who has no turn sleeps, and half a second lies
    between two turns, in which the threads of the last stop spinning.
    """
    context = get_context("spawn")
    lines = {}
    for name in sizes:
        here, there = context.Pipe()
        process = context.Process(target=contenders.serve, args=(name, there), daemon=False)
        process.start()
        lines[name] = here
    seconds: dict[str, list[float]] = {name: [] for name in sizes}
    compiling: dict[str, float] = {}
    for number in range(rounds + 1):
        for name, size in sizes.items():
            time.sleep(0.5)
            lines[name].send(size)
            took, compiling[name] = lines[name].recv()
            if number:  # first times do not count
                seconds[name].append(took)
            print(f"\r\x1b[2Kround {number} of {rounds}: {name}", end="", file=sys.stderr, flush=True)
    for line in lines.values():
        line.send(None)
    print("\r\x1b[2K", end="", file=sys.stderr)
    return seconds, compiling


def show(title: str, unit: str, values: dict[str, list[float]], leader: str, target: dict[str, float]) -> bool:
    """Print medians and the median over rounds of each contender's ratio to the leader; says whether the targets hold."""
    print(f"\n{title}\n\n| | {unit}, median (range) | times the engine's | asked for |\n| --- | --- | --- | --- |")
    good = True
    for name, each in values.items():
        ratio = statistics.median(a / b for a, b in zip(each, values[leader], strict=True))
        asked = ""
        if name in target:
            good &= ratio >= target[name]
            asked = f"{target[name]:g}: {'held' if ratio >= target[name] else 'missed'}"
        print(f"| {name} | {statistics.median(each):.3f} ({min(each):.3f} to {max(each):.3f}) | {ratio:.2f} | {asked} |")
    return good


def training_table(rounds: int) -> bool:
    """One network, and twenty in a stack, against their peers."""
    single = {
        "engine, one network": 120_000,
        "engine, one network, bfloat16 products": 120_000,
        "PyTorch, DataLoader and ToTensor, no workers": 12_000,
        "PyTorch, DataLoader and ToTensor, 2 workers": 24_000,
        "PyTorch, tensors in memory, fused Adam": 60_000,
        "JAX, compiled scan": 120_000,
        "scikit-learn MLPClassifier (no dropout)": 24_000,
    }
    seconds, compiling = interleave(single, rounds)
    epochs = {name: [s * EPOCH / single[name] for s in each] for name, each in seconds.items()}
    loader = min((name for name in epochs if "DataLoader" in name), key=lambda name: statistics.median(epochs[name]))
    good = show("Training one network", "s an epoch", epochs, "engine, one network", {loader: 10, "JAX, compiled scan": 1})
    stacks = {
        "engine, 20 rates of one seed": 24_000,
        "engine, 20 rates, bfloat16 products": 24_000,
        "engine, 20 seeds, images of their own": 24_000,
        "JAX, vmapped scan, 20": 12_000,
        "torch.func vmap, 20": 12_000,
    }
    seconds, compiling20 = interleave(stacks, rounds)
    per_net = {name: [s * EPOCH / stacks[name] / 20 for s in each] for name, each in seconds.items()}
    targets = {"JAX, vmapped scan, 20": 1.5, "torch.func vmap, 20": 2.5}
    good &= show("Training twenty networks", "s a network and epoch", per_net, "engine, 20 rates of one seed", targets)
    took = compiling["JAX, compiled scan"], compiling20["JAX, vmapped scan, 20"]
    print(f"\nCompiling took JAX {took[0]:.1f} s for one network and {took[1]:.1f} s for twenty.")
    return good


def scale_table(rounds: int) -> bool:
    """Whether 200 networks cost ten times what 20 cost."""
    nets = {"20 networks": 20, "200 networks": 200}
    seconds, _ = interleave(dict.fromkeys(nets, 12_800), max(2, rounds // 2))
    per_net = {name: [s * EPOCH / 12_800 / nets[name] for s in each] for name, each in seconds.items()}
    good = show("Scale", "s a network and epoch", per_net, "20 networks", {})
    ratio = statistics.median(a / b for a, b in zip(per_net["200 networks"], per_net["20 networks"], strict=True))
    print(f"\nA network of 200 costs {ratio:.2f} times one of 20 (asked for: at most 1.15).")
    return good and ratio <= 1.15


def sampling_table(rounds: int) -> bool:
    """200 masks on the test images."""
    loop = "PyTorch, 200 passes in training mode"
    masks = {"engine, 200 masks": 200, loop: 50}
    seconds, _ = interleave(masks, rounds)
    scaled = {name: [s * 200 / masks[name] for s in each] for name, each in seconds.items()}
    good = show("Sampling 200 masks on 10,000 images", "s", scaled, "engine, 200 masks", {loop: 8})
    grown = memory()
    print(f"\n1,000 masks on 10,000 images take {grown:.0f} MB above the data (asked for: at most 400).")
    return good and grown <= 400


def memory() -> float:
    """Megabytes that sampling adds to the peak of a process that has the data and a network."""
    program = (
        "import resource, torch; from dropclust.core import mnist, prediction; from dropclust.core.network import Network\n"
        "g = torch.Generator().manual_seed(0); w = (784, 100, 100, 100, 10)\n"
        "n = Network([torch.randn(a, b, generator=g) * .05 for a, b in zip(w, w[1:])], [torch.zeros(b) for b in w[1:]])\n"
        "x = mnist.load().test_x; prediction.sample(n, x[:100], 8, dropout=.4)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        # The peak so far may lie above what is held now; raise it to what is held, so that growth is growth.
        "held = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() // 1024\n"
        "fill = torch.ones(max(0, peak() - held) * 256); before = peak()\n"
        "prediction.sample(n, x, 1000, dropout=.4); print((peak() - before) / 1024)"
    )
    return float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)


def calibration_table(data: mnist.Data) -> bool:
    """Whether the time promised on pages comes true."""
    specs = [
        RunSpec(),
        RunSpec(batch_size=16, examples=64_000),
        RunSpec(batch_size=512, examples=640_000),
        RunSpec(hidden=(400, 100, 100), dropout=(0.5, 0.0, 0.0)),
        RunSpec(hidden=(300, 300, 300), examples=128_000, recipe="paper"),
    ]
    speed = calibration.calibrate(data)
    print(
        "\nPromised and taken, one thread\n\n| hidden | batch | promised s | taken s | ratio |\n| --- | --- | --- | --- | --- |"
    )
    worst = 0.0
    for spec in specs:
        taken = training.fit([spec], data=data, threads=1)[0].seconds
        promised = speed.seconds(spec)
        worst = max(worst, abs(promised / taken - 1))
        print(
            f"| {'-'.join(map(str, spec.hidden))} | {spec.batch_size} | {promised:.1f} | {taken:.1f} | {promised / taken:.2f} |"
        )
    print(f"\nFurthest off: {worst:.0%} (asked for: at most 30 %).")
    return worst <= 0.3


def precision_table(data: mnist.Data, seeds: int = 20) -> bool:
    """Whether bfloat16 products learn what float32 learns: the default network, alone and in a stack, paired by seed."""
    print(
        f"\nbfloat16 products against float32, {seeds} paired seeds, dropout {peers.RATE}, 320,000 examples\n\n"
        "| | test accuracy, float32 | bfloat16 | difference, 95 % | equal within .001, TOST p | layer-2 ARI, float32 "
        "| bfloat16 | difference, 95 % |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    good = True
    for title, together in (("alone", False), ("in a stack of 20", True)):
        accuracy: dict[str, list[float]] = {}
        rand: dict[str, list[float]] = {}
        for precision in PRECISIONS:
            specs = [RunSpec(seed=seed, precision=precision) for seed in range(seeds)]
            groups = [specs] if together else [[spec] for spec in specs]
            nets = [net for group in groups for net in training.train(group)]
            logits = [prediction.scaled_logits(net, data.test_x) for net in nets]
            accuracy[precision] = [metrics.accuracy(each, data.test_y) for each in logits]
            rand[precision] = [similarity.neuron_similarity(net, 2, 10).adjusted_rand for net in nets]
        same = intervals.equivalent(accuracy["bfloat16"], accuracy["float32"], 0.001)
        apart = intervals.paired_difference(accuracy["bfloat16"], accuracy["float32"])
        ari = intervals.paired_difference(rand["bfloat16"], rand["float32"])
        good &= same.equivalent and ari.low <= 0 <= ari.high
        levels = [statistics.mean(values[precision]) for values in (accuracy, rand) for precision in ("float32", "bfloat16")]
        print(
            f"| {title} | {levels[0]:.5f} | {levels[1]:.5f} | {apart.low:+.5f} to {apart.high:+.5f} | {same.p_value:.3g} "
            f"| {levels[2]:.3f} | {levels[3]:.3f} | {ari.low:+.3f} to {ari.high:+.3f} |"
        )
    print(f"\nA trial on this machine picks {calibration.faster_precision(data)} for full grids.")
    return good


def processor() -> str:
    """What the system calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> int:
    """Print all tables; exit with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each contender takes its turn (default 7)")
    parser.add_argument("--only", choices=["training", "precision", "scale", "sampling", "calibration"], help="one table alone")
    parsed = parser.parse_args()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}; 784-100-100-100-10, batch {peers.BATCH}, dropout {peers.RATE}, {parsed.rounds} rounds"
    )
    tables = {
        "training": lambda: training_table(parsed.rounds),
        "precision": lambda: precision_table(mnist.load()),
        "scale": lambda: scale_table(parsed.rounds),
        "sampling": lambda: sampling_table(parsed.rounds),
        "calibration": lambda: calibration_table(mnist.load()),
    }
    held = [table() for name, table in tables.items() if parsed.only in (None, name)]
    print("\nAll targets held." if all(held) else "\nA target was missed.")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
