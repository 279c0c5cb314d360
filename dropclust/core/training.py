"""Training: which runs share a stack, when each is looked at or stopped, and what became of it. It knows not who waits."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import torch

from dropclust.core import mnist
from dropclust.core.checks import whole
from dropclust.core.cost import curve_steps
from dropclust.core.device import choose, name_of, tensor_cores
from dropclust.core.network import Network
from dropclust.core.spec import Rates, RunSpec
from dropclust.core.stack import Stack, device_bytes

POLL_SECONDS = 0.05  # how often a run asks whether it should stop

# A stack's parameters, gradients and two moments should stay in the last-level cache, and a step should end well within
# the time in which somebody expects "stop" to act.
_STACK_PARAMETERS = 1_100_000
_STACK_STEP_FLOPS = 4e9
# A GPU has no such cache; the more networks, the better. A stack may take this share of the memory that is free.
_DEVICE_SHARE = 0.4


@dataclass(frozen=True)
class Point:
    """One point of a run's curve, on held-out images, with the noise off and the network scaled."""

    step: int
    examples: int
    loss: float  # cross-entropy, nats
    accuracy: float  # share, 0 to 1
    seconds: float  # since the run began


@dataclass(frozen=True)
class Trained:
    """What became of one run.

    ``status`` is "done", "stopped" (``network`` holds what was learnt by then) or "diverged" (no network; ``diverged_at``
    is the first step whose gradient was not finite, counted from 1). ``device`` is "cpu", or "cuda" and the GPU's name.
    """

    spec: RunSpec
    network: Network | None
    curve: tuple[Point, ...]
    steps: int
    seconds: float
    status: str
    diverged_at: int | None = None
    device: str = "cpu"


class Diverged(ArithmeticError):
    """A run whose weights stopped being numbers; says at which step."""


def train(
    specs: RunSpec | Sequence[RunSpec], progress: Callable[[float], None] | None = None, device: str = "auto"
) -> list[Network]:
    """Train networks on MNIST, stacking what can be stacked.

    Parameters
    ----------
    specs
        One run or any number of them.
    progress
        Called several times a second with the share of the work done, 0 to 1.
    device
        "cpu", "cuda", or "auto" as `dropclust.core.device.choose` has it. The networks lie on the processor in any case.

    Returns
    -------
    list of Network
        In the order of ``specs``.

    Raises
    ------
    Diverged
        When a network's weights stop being finite: which one, and at which step.
    """
    runs = [specs] if isinstance(specs, RunSpec) else list(specs)
    networks = []
    for trained in fit(runs, curve=False, on_step=progress, device=device):
        if trained.network is None:
            raise Diverged(f"run {trained.spec.key[:8]} diverged at step {trained.diverged_at}")
        networks.append(trained.network)
    return networks


def fit(
    specs: Sequence[RunSpec],
    *,
    data: mnist.Data | None = None,
    curve: bool = True,
    on_point: Callable[[int, Point], None] | None = None,
    on_step: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    threads: int | None = None,
    device: str = "auto",
) -> list[Trained]:
    """Train networks and say what became of each.

    Runs that differ only in rates, their schedule and seed share a stack. Two or more stacks are trained side by side, a
    thread each; one alone uses all threads. A net is the same whatever its neighbours, up to rounding.

    Parameters
    ----------
    specs
        Any number of runs.
    data
        MNIST; read from the cache folder when None.
    curve
        Whether to measure held-out loss and accuracy on the way; ``on_point`` needs it.
    on_point
        Called with the index of a run in ``specs`` and its new point. From several threads, one at a time for each run.
    on_step
        Called several times a second with the share of the work done, 0 to 1.
    should_stop
        Asked every 50 ms. Once it is true, every run ends as "stopped".
    threads
        Cores to use; torch's own number when None.
    device
        "cpu", "cuda", or "auto" as `dropclust.core.device.choose` has it. On a GPU stacks are large and take turns; initial
        weights and the order of the images are those of the processor, the noise is another of the same distribution.

    Returns
    -------
    list of Trained
        In the order of ``specs``.
    """
    if not specs:
        return []
    data = data or mnist.load()
    total = sum(spec.flops for spec in specs)
    where = choose(device, total)
    threads = 1 if where.type == "cuda" else threads or torch.get_num_threads()
    stacks = plan(specs, threads, None if where.type == "cpu" else _DEVICE_SHARE * torch.cuda.mem_get_info(where)[0])
    done = [0.0] * len(stacks)
    results: dict[int, Trained] = {}
    reporting, given_up = threading.Lock(), threading.Event()

    def one(number: int) -> None:
        grid = stacks[number]
        flat = [index for row in grid for index in row]
        work = sum(specs[index].flops for index in flat)

        def poll(share: float) -> bool:
            with reporting:  # two stacks that report at once must not make the share go back
                done[number] = share * work
                if on_step:
                    on_step(min(sum(done) / total, 1.0))
            return given_up.is_set() or bool(should_stop and should_stop())

        def point(member: int, value: Point) -> None:
            if on_point:
                on_point(flat[member], value)

        stack = Stack([[specs[index] for index in row] for row in grid], data, where)
        results.update(zip(flat, run_stack(stack, poll, point, curve), strict=True))
        if where.type == "cuda":  # who else computes on it, and the next stack, shall have the room
            del stack
            torch.cuda.empty_cache()

    side_by_side = min(threads, len(stacks))
    with _torch_threads(max(1, threads // side_by_side)):
        if side_by_side == 1:
            for number in range(len(stacks)):
                one(number)
        else:
            with ThreadPoolExecutor(side_by_side) as pool:
                try:
                    for future in as_completed([pool.submit(one, number) for number in range(len(stacks))]):
                        future.result()
                except BaseException:  # a callback failed or the user pressed Ctrl-C: the other stacks end as well
                    given_up.set()
                    raise
    return [results[index] for index in range(len(specs))]


def plan(specs: Sequence[RunSpec], threads: int, room: float | None = None) -> list[list[list[int]]]:
    """Which runs are trained together: stacks, each a grid of indices into ``specs``, a row a seed.

    The rows of a grid are equally long. No stack is larger than cache and patience allow, or than ``room``, the bytes that it
    may take on a GPU; where there are threads to feed the runs are spread over them.
    """
    alike: dict[tuple[object, ...], dict[tuple[int, int | None], list[int]]] = {}
    for index, spec in enumerate(specs):
        kind = (
            spec.hidden, spec.noise, spec.batch_size, spec.examples, spec.train_size, spec.recipe, spec.precision,
        )  # fmt: skip
        alike.setdefault(kind, {}).setdefault((spec.seed, spec.subset_seed), []).append(index)
    stacks = []
    for seeds in alike.values():
        members = [index for row in seeds.values() for index in row]
        spec = specs[members[0]]
        if room is None:
            most = min(_STACK_PARAMETERS / spec.n_parameters, _STACK_STEP_FLOPS * spec.steps / spec.flops)
        else:
            most = room / device_bytes(spec)
        size = max(1, min(int(most), math.ceil(len(members) / threads)))
        # A seed with many settings fills stacks of its own: its images are then gathered and multiplied once.
        by_length: dict[int, list[list[int]]] = {}
        for row in seeds.values():
            for part in _even_parts(row, size):
                by_length.setdefault(len(part), []).append(part)
        for length, rows in by_length.items():
            stacks += _even_parts(rows, max(1, size // length))
    # The longest first, so that no core idles at the end.
    return sorted(stacks, key=lambda grid: -sum(specs[i].flops for row in grid for i in row))


_Item = TypeVar("_Item")


def _even_parts(items: list[_Item], size: int) -> list[list[_Item]]:
    """Cut into the fewest parts of at most ``size``, as equal as can be."""
    parts = math.ceil(len(items) / size)
    whole, rest = divmod(len(items), parts)
    stream = iter(items)
    return [list(islice(stream, whole + (part < rest))) for part in range(parts)]


@contextmanager
def _torch_threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_stack(
    stack: Stack, poll: Callable[[float], bool], on_point: Callable[[int, Point], None], curve: bool
) -> list[Trained]:
    """Train a stack to the end, or until ``poll``, called first and every 50 ms with the share done, returns True.

    ``on_point`` is told the number of a net in the stack and its new point.
    """
    steps, began = stack.spec.steps, time.perf_counter()
    asked, stopped, done = began, poll(0.0), 0
    points: list[list[Point]] = [[] for _ in stack.members]
    marks = iter(curve_steps(stack.spec) if curve else ())
    mark = next(marks, None)
    with torch.inference_mode(), tensor_cores(stack.device), stack.queue():
        while not stopped:
            if done == mark:
                for member, (loss, accuracy) in enumerate(stack.held_out()):
                    if not math.isfinite(loss):
                        continue
                    point = Point(done, done * stack.spec.batch_size, loss, accuracy, time.perf_counter() - began)
                    points[member].append(point)
                    on_point(member, point)
                mark = next(marks, None)
            if done == steps:
                break
            done += stack.advance((steps if mark is None else mark) - done)
            if (now := time.perf_counter()) - asked > POLL_SECONDS:
                asked = now
                stopped = poll(done / steps) and done < steps
                if not stack.trace[done - 1].isfinite().any():
                    break
        finite = stack.trace[:done].isfinite().cpu()
        seconds = time.perf_counter() - began
    if not stopped:
        poll(1.0)
    results = []
    for member, (spec, network) in enumerate(zip(stack.members, stack.networks(), strict=True)):
        lost = (~finite[:, member]).nonzero()
        # Without a trace of it and still no network: the very last step blew up.
        diverged_at = int(lost[0]) + 1 if len(lost) else done if network is None else None
        status = "diverged" if diverged_at else "stopped" if stopped else "done"
        results.append(
            Trained(
                spec, None if diverged_at else network, tuple(points[member]), diverged_at or done, seconds, status,
                diverged_at, name_of(stack.device),
            )
        )  # fmt: skip
    return results


def snapshots(
    specs: Sequence[RunSpec],
    steps: Sequence[int],
    *,
    data: mnist.Data | None = None,
    threads: int | None = None,
    device: str = "auto",
) -> Iterator[tuple[int, list[Network]]]:
    """Train runs side by side and copy their networks out on the way.

    Parameters
    ----------
    specs
        Runs of equally many steps.
    steps
        After how many steps to look, rising.
    data, threads, device
        As for `fit`.

    Yields
    ------
    tuple
        A number of steps, and the networks after them in the order of ``specs``, whose ``spec`` is the run that ends there.

    Raises
    ------
    Diverged
        When a network's weights stop being finite.
    """
    data = data or mnist.load()
    where = choose(device, sum(spec.flops for spec in specs))
    grids = plan(specs, 1)
    stacks = [Stack([[specs[index] for index in row] for row in grid], data, where) for grid in grids]
    for step in steps:
        networks: dict[int, Network] = {}
        with _torch_threads(threads or torch.get_num_threads()):
            for grid, stack in zip(grids, stacks, strict=True):
                with torch.inference_mode(), tensor_cores(where), stack.queue():
                    while stack.done < step:
                        stack.advance(step - stack.done)
                for index, network in zip([index for row in grid for index in row], stack.networks(), strict=True):
                    if network is None:
                        raise Diverged(f"run {specs[index].key[:8]} diverged within {step:,} steps")
                    networks[index] = Network(network.weights, network.biases, specs[index].until(step))
        yield step, [networks[index] for index in range(len(specs))]


class Training:
    """One run, made step by step by whoever holds it, with rates that may be changed between any two steps.

    What was changed is the run's schedule: `so_far` trained again, by `train` or `fit` or here, gives the same weights to the
    bit on the same machine with as many threads. An object belongs to one thread at a time.

    Parameters
    ----------
    spec
        The run. Its ``examples`` are the most that will be shown. A schedule it has is followed until `rates` are set: so a run
        that was cut off goes on where it was, once ``Training(so_far)`` has made as many steps.
    data
        MNIST; read from the cache folder when None.
    device
        "cpu", "cuda", or "auto" as `dropclust.core.device.choose` has it.

    Examples
    --------
    >>> from dropclust import RunSpec
    >>> run = Training(RunSpec((10, 10, 10), (0, 0, 0), examples=2_000, batch_size=20))
    >>> run.step(30)
    30
    >>> run.rates = (0.5, 0.5, 0.5)
    >>> run.step(10)
    10
    >>> run.step_number, run.so_far.examples, run.so_far.schedule
    (40, 800, ((30, (0.5, 0.5, 0.5)),))
    >>> run.network().hidden
    (10, 10, 10)
    """

    def __init__(self, spec: RunSpec, data: mnist.Data | None = None, device: str = "auto") -> None:
        self._spec = spec
        self._stack = Stack([[spec]], data or mnist.load(), choose(device, spec.flops), steered=True)

    @property
    def spec(self) -> RunSpec:
        """The whole run, as it will be if nothing is changed any more."""
        return self._spec

    @property
    def so_far(self) -> RunSpec:
        """The run that ends where this one is.

        Raises
        ------
        ValueError
            When no step was made yet.
        """
        done = self.step_number
        if not done:
            raise ValueError("a run must have made a step before it can be described; got 0 steps")
        return self._spec.until(done)

    @property
    def step_number(self) -> int:
        """Steps made, 0 at the start and ``spec.steps`` at the end."""
        return self._stack.done

    @property
    def finished(self) -> bool:
        """Whether all steps were made."""
        return self.step_number == self._spec.steps

    @property
    def rates(self) -> Rates:
        """Dropout rates of the three hidden layers in the next step.

        To set them replaces what the schedule had from here on. Setting them again before the next step replaces them.

        Raises
        ------
        ValueError
            When a rate is not allowed, after the last step, or at the 1,001st change; nothing is changed then.
        """
        return self._spec.rates_at(self.step_number)

    @rates.setter
    def rates(self, rates: Rates) -> None:
        done = self.step_number
        if done == 0:
            self._spec = replace(self._spec, dropout=rates, schedule=())
        else:
            past = tuple(piece for piece in self._spec.schedule if piece[0] < done)
            self._spec = replace(self._spec, schedule=(*past, (done, rates)))
        with torch.inference_mode():
            self._stack.change_rates([self._spec.rates_at(done)])

    def step(self, n: int = 1) -> int:
        """Make ``n`` steps, or as many as are left; returns how many were made."""
        n = min(whole("n", n, 1, 2**31 - 1), self._spec.steps - self.step_number)
        end = self.step_number + n
        with torch.inference_mode(), tensor_cores(self._stack.device), self._stack.queue():
            while self.step_number < end:
                self._stack.advance(end - self.step_number)
        return n

    def held_out(self) -> tuple[float, float]:
        """Cross-entropy in nats and accuracy, 0 to 1, on the first held-out images, with the noise off; nan once diverged."""
        with torch.inference_mode():
            return self._stack.held_out()[0]

    def network(self) -> Network:
        """The network as it is, copied: its ``spec`` is `so_far`, or before the first step the whole run.

        Raises
        ------
        Diverged
            When its weights are no longer finite.
        """
        with torch.inference_mode():
            network = self._stack.networks()[0]
        if network is None:
            raise Diverged(f"run {self._spec.key[:8]} diverged within {self.step_number:,} steps")
        return Network(network.weights, network.biases, self.so_far if self.step_number else self._spec)
