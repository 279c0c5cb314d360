"""Who is timed: the engine and its peers by name, each to be served from a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch

from dropclust.core import mnist, prediction, training
from dropclust.core.spec import RunSpec
from tests.benchmarks import peers


def ours(specs: Callable[[int], list[RunSpec]], data: mnist.Data) -> peers.Timed:
    """Seconds that the engine takes for so many images a network."""

    def run(images: int) -> float:
        runs = specs(images // peers.BATCH * peers.BATCH)
        began = time.perf_counter()
        training.fit(runs, data=data, curve=False)
        return time.perf_counter() - began

    return run


def one(precision: str = "float32") -> Callable[[int], list[RunSpec]]:
    return lambda images: [RunSpec(examples=images, precision=precision)]


def rates(nets: int, precision: str = "float32") -> Callable[[int], list[RunSpec]]:
    """One seed at many rates: the networks share images, as the vmapped peers' do."""
    return lambda images: [
        RunSpec(examples=images, dropout=(0.2 + 0.4 * i / nets,) * 3, precision=precision) for i in range(nets)
    ]


def seeds(nets: int) -> Callable[[int], list[RunSpec]]:
    """Many seeds at one rate: each network has images of its own."""
    return lambda images: [RunSpec(examples=images, seed=i) for i in range(nets)]


def engine_sampling(data: mnist.Data) -> peers.Timed:
    """So many masks on the test images."""
    [network] = training.train(RunSpec(examples=12_800))

    def run(samples: int) -> float:
        began = time.perf_counter()
        prediction.sample(network, data.test_x, samples)
        return time.perf_counter() - began

    return run


# Every contender has a process of its own: the thread pools of JAX and of OpenMP slow each other down within one.
CONTENDERS: dict[str, Callable[[mnist.Data], peers.Timed]] = {
    "engine, one network": lambda data: ours(one(), data),
    "engine, one network, bfloat16 products": lambda data: ours(one("bfloat16"), data),
    "PyTorch, DataLoader and ToTensor, no workers": lambda data: peers.dataloader_loop(0),
    "PyTorch, DataLoader and ToTensor, 2 workers": lambda data: peers.dataloader_loop(2),
    "PyTorch, tensors in memory, fused Adam": peers.in_memory_loop,
    "JAX, compiled scan": lambda data: peers.JaxScan(data, 1),
    "scikit-learn MLPClassifier (no dropout)": peers.sklearn_classifier,
    "engine, 20 rates of one seed": lambda data: ours(rates(20), data),
    "engine, 20 rates, bfloat16 products": lambda data: ours(rates(20, "bfloat16"), data),
    "engine, 20 seeds, images of their own": lambda data: ours(seeds(20), data),
    "JAX, vmapped scan, 20": lambda data: peers.JaxScan(data, 20),
    "torch.func vmap, 20": lambda data: peers.vmap_loop(data, 20),
    "20 networks": lambda data: ours(rates(20), data),
    "200 networks": lambda data: ours(rates(200), data),
    "engine, 200 masks": lambda data: engine_sampling(data),
    "PyTorch, 200 passes in training mode": lambda data: peers.training_mode_sampling(data, 10_000),
}


def serve(name: str, line: Connection) -> None:
    """Time one contender, in a process of its own, whenever it is asked to."""
    torch.set_num_threads(os.cpu_count() or 1)
    run = CONTENDERS[name](mnist.load())
    while (size := line.recv()) is not None:
        line.send((run(size), getattr(run, "compile_seconds", 0.0)))
