"""The engine: many networks trained at once, each as if it were alone. It knows specs and tensors, and nothing of who waits."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

from dropclust.core import mnist
from dropclust.core.cost import CURVE_IMAGES, Calibration, curve_steps
from dropclust.core.network import Network
from dropclust.core.noise import generator, multiplier
from dropclust.core.spec import OUTPUTS, RunSpec

ADAM_RATE, ADAM_BETAS, ADAM_EPSILON = 1e-3, (0.9, 0.999), 1e-8
SGD_RATE = 5e-5  # on the summed loss of a batch, as section 4.1.2 of the paper writes its gradient
POLL_SECONDS = 0.05  # how often a run asks whether it should stop

# A stack's parameters, gradients and two moments should stay in the last-level cache, and a step should end well within
# the time in which somebody expects "stop" to act.
_STACK_PARAMETERS = 1_100_000
_STACK_STEP_FLOPS = 4e9


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
    is the first step whose gradient was not finite, counted from 1).
    """

    spec: RunSpec
    network: Network | None
    curve: tuple[Point, ...]
    steps: int
    seconds: float
    status: str
    diverged_at: int | None = None


class Diverged(ArithmeticError):
    """A run whose weights stopped being numbers; says at which step."""


def train(specs: RunSpec | Sequence[RunSpec], progress: Callable[[float], None] | None = None) -> list[Network]:
    """Train networks on MNIST, stacking what can be stacked.

    Parameters
    ----------
    specs
        One run or any number of them.
    progress
        Called several times a second with the share of the work done, 0 to 1.

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
    for trained in fit(runs, curve=False, on_step=progress):
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
) -> list[Trained]:
    """Train networks and say what became of each.

    Runs that differ only in rates and seed share a stack. Two or more stacks are trained side by side, a thread each; one
    alone uses all threads. A net is the same whatever its neighbours, up to rounding.

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

    Returns
    -------
    list of Trained
        In the order of ``specs``.
    """
    if not specs:
        return []
    data = data or mnist.load()
    threads = threads or torch.get_num_threads()
    stacks = plan(specs, threads)
    total = sum(spec.flops for spec in specs)
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

        stack = Stack([[specs[index] for index in row] for row in grid], data)
        results.update(zip(flat, stack.run(poll, point, curve), strict=True))

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


def plan(specs: Sequence[RunSpec], threads: int) -> list[list[list[int]]]:
    """Which runs are trained together: stacks, each a grid of indices into ``specs``, a row a seed.

    The rows of a grid are equally long. No stack is larger than cache and patience allow, and where there are threads to
    feed the runs are spread over them.
    """
    alike: dict[tuple[object, ...], dict[int, list[int]]] = {}
    for index, spec in enumerate(specs):
        kind = (
            spec.hidden, spec.noise, spec.batch_size, spec.examples, spec.train_size, spec.recipe, spec.precision,
        )  # fmt: skip
        alike.setdefault(kind, {}).setdefault(spec.seed, []).append(index)
    stacks = []
    for seeds in alike.values():
        members = [index for row in seeds.values() for index in row]
        spec = specs[members[0]]
        most = min(_STACK_PARAMETERS / spec.n_parameters, _STACK_STEP_FLOPS * spec.steps / spec.flops)
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


def initial_weights(spec: RunSpec) -> list[Tensor]:
    """The four weight tensors ``[in, out]`` a run starts from, by its recipe and seed; biases start at zero.

    "modern": normal of variance 2 / in (He et al. 2015). "paper": uniform within sqrt(6 / (in + out)) (Glorot & Bengio
    2010). The rates have no say, so that nets of one seed start alike.
    """
    weights = []
    for layer, (n_in, n_out) in enumerate(zip(spec.widths[:-1], spec.widths[1:], strict=True), start=1):
        weight, stream = torch.empty(n_in, n_out), generator(spec.seed, "weights", layer)
        if spec.recipe == "modern":
            weight.normal_(0, math.sqrt(2 / n_in), generator=stream)
        else:
            bound = math.sqrt(6 / (n_in + n_out))
            weight.uniform_(-bound, bound, generator=stream)
        weights.append(weight)
    return weights


def batches(spec: RunSpec) -> Iterator[Tensor]:
    """Indices of the training images of each step, int64 ``[batch_size]``, for ever: shuffled anew every epoch.

    The images that do not fill a last batch wait for the next epoch's shuffle.
    """
    chosen = mnist.subset(spec.seed, spec.train_size)
    stream = generator(spec.seed, "order")
    while True:
        order = chosen[torch.randperm(len(chosen), generator=stream)]
        whole = order[: len(order) // spec.batch_size * spec.batch_size]
        yield from whole.view(-1, spec.batch_size)


@dataclass(eq=False)
class Stack:
    """G seeds x N settings of one shape, trained in lockstep; M = G N nets.

    Parameters
    ----------
    grid
        A row a seed, a column a setting. All specs share everything but rates and seed; a row shares its seed.
    data
        MNIST. Pixels that no training image lights have no gradient, under either recipe, for ever: they are left out of
        the products, and their weights stay what they were at the start.
    """

    grid: list[list[RunSpec]]
    data: mnist.Data
    parameters: list[Tensor] = field(init=False)  # W1 [G, live, N h1], W2..W4 [M, in, out], b1 [G, 1, N h1], b2..b4 [M, 1, out]
    gradients: list[Tensor] = field(init=False)  # of the same shapes

    def __post_init__(self) -> None:
        spec = self.grid[0][0]
        self.spec, self.n_seeds, self.n_settings = spec, len(self.grid), len(self.grid[0])
        self.members = [member for row in self.grid for member in row]
        seeds, settings, nets = self.n_seeds, self.n_settings, len(self.members)
        _, h1, h2, h3, out = spec.widths
        self.dtype = torch.bfloat16 if spec.precision == "bfloat16" else torch.float32
        self.live = self.data.live
        n_live = len(self.live)

        shapes = [
            (seeds, n_live, settings * h1), (nets, h1, h2), (nets, h2, h3), (nets, h3, out),
            (seeds, 1, settings * h1), (nets, 1, h2), (nets, 1, h3), (nets, 1, out),
        ]  # fmt: skip
        sizes = [math.prod(shape) for shape in shapes]
        # One buffer each, so that one fused step updates everything.
        self._master = torch.zeros(sum(sizes))
        self._gradient = torch.zeros_like(self._master)
        self._working = self._master.to(self.dtype)  # the same tensor in float32
        self._working_gradient = self._gradient.to(self.dtype)
        self.parameters, self.gradients, masters = (
            [part.view(shape) for part, shape in zip(torch.split(buffer, sizes), shapes, strict=True)]
            for buffer in (self._working, self._working_gradient, self._master)
        )
        self._masters = masters
        # The same tensors for a net alone, as matrices.
        self._alone = [tensor[0] for tensor in self.parameters], [tensor[0] for tensor in self.gradients]
        self._start = [initial_weights(row[0]) for row in self.grid]
        for seed, weights in enumerate(self._start):
            masters[0][seed].view(n_live, settings, h1).copy_(weights[0][self.live].unsqueeze(1))
            for layer in (1, 2, 3):
                masters[layer].view(seeds, settings, *weights[layer].shape)[seed].copy_(weights[layer])
        self._working.copy_(self._master)
        if spec.recipe == "modern":
            self._moments = torch.zeros_like(self._master), torch.zeros_like(self._master)
            self._time = torch.zeros(())

        self._rates = torch.tensor([[m.dropout for m in row] for row in self.grid])  # [G, N, 3]
        self._noisy = [bool((self._rates[..., layer] > 0).any()) for layer in range(3)]
        self._streams = [[generator(row[0].seed, "noise", layer) for layer in (1, 2, 3)] for row in self.grid]
        self._order = [batches(row[0]) for row in self.grid]
        self._images = self.data.train_live(self.dtype)
        self._onehot = self.data.train_onehot
        self._x = torch.empty(seeds, spec.batch_size, n_live, dtype=self.dtype)
        self._y = torch.empty(seeds, spec.batch_size, out)

    # -- one step ---------------------------------------------------------------------------------------------------

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """The next images ``[G, B, live]`` and labels, one-hot, ``[G, B, 10]`` of every seed."""
        for seed, order in enumerate(self._order):
            index = next(order)
            torch.index_select(self._images, 0, index, out=self._x[seed])
            torch.index_select(self._onehot, 0, index, out=self._y[seed])
        return self._x, self._y

    def draw(self) -> list[Tensor | None]:
        """The noise of one step, a tensor of mean 1 for each hidden layer, or None where no net of the stack has any.

        Bernoulli and Gaussian: ``[G, B, N, h1]`` for layer 1, ``[M, B, h]`` for layers 2 and 3. DropConnect: one weight
        mask for the batch, ``[M, in, out]``. Nets of one seed share their draws.
        """
        spec, seeds, settings = self.spec, self.n_seeds, self.n_settings
        noise: list[Tensor | None] = []
        for layer, width in enumerate(spec.hidden):
            if not self._noisy[layer]:
                noise.append(None)
                continue
            rate = self._rates[:, :, layer]
            shape = [width, spec.widths[layer + 2]] if spec.noise == "dropconnect" else [spec.batch_size, width]
            by_row = layer == 0 and spec.noise != "dropconnect"  # layer 1 lies [B, N, h1]: it was one product for all N
            drawn = [
                multiplier(
                    spec.noise,
                    [shape[0], 1, shape[1]] if by_row else [1, *shape],
                    rate[seed].view(1, settings, 1) if by_row else rate[seed].view(settings, 1, 1),
                    self._streams[seed][layer],
                )
                for seed in range(seeds)
            ]
            together = torch.stack(drawn) if by_row else torch.cat(drawn)
            noise.append(together if self.dtype == torch.float32 else together.to(self.dtype))
        return noise

    def differentiate(self, x: Tensor, y: Tensor, noise: list[Tensor | None]) -> None:
        """Write the gradient of every net's loss into ``gradients``: mean over the batch if "modern", sum if "paper".

        Backpropagation by hand (Rumelhart et al. 1986). ReLU's gradient at 0 is 0.
        """
        spec, seeds, settings, nets = self.spec, self.n_seeds, self.n_settings, len(self.members)
        batch, h1 = spec.batch_size, spec.hidden[0]
        connect = spec.noise == "dropconnect"
        alone = nets == 1
        if alone:
            # Plain matrices: their products alone spread over threads, and a view less a product is a tenth of a small step.
            x, y = x[0], y[0]
            noise = [r if r is None else r.flatten(0, -2) for r in noise]  # [B, h], or a weight mask [in, out]
        affine, product = (torch.addmm, torch.mm) if alone else (torch.baddbmm, torch.bmm)
        (w1, w2, w3, w4, b1, b2, b3, b4), grads = self._alone if alone else (self.parameters, self.gradients)
        on_units = [None] * 3 if connect else noise
        masked = [w if r is None or not connect else w * r for w, r in zip((w2, w3, w4), noise, strict=True)]

        # Shapes are of a stack; a net alone lacks their first dimension.
        a1 = affine(b1, x, w1).relu_()  # [G, B, N h1]
        if not alone:
            a1 = a1.view(seeds, batch, settings, h1)
        d1 = a1 if on_units[0] is None else a1 * on_units[0]
        if not alone:
            d1 = d1.transpose(1, 2).reshape(nets, batch, h1)  # [M, B, h1]; a copy only where G and N are both above 1
        a2 = affine(b2, d1, masked[0]).relu_()  # [M, B, h2]
        d2 = a2 if on_units[1] is None else a2 * on_units[1]
        a3 = affine(b3, d2, masked[1]).relu_()  # [M, B, h3]
        d3 = a3 if on_units[2] is None else a3 * on_units[2]
        # Classes before images: torch's softmax is vectorised along every dimension but a short last one.
        logits = affine(b4.mT, masked[2].mT, d3.mT)  # [M, 10, B]
        error = logits.float().softmax(-2)
        if alone:
            error.sub_(y.mT)
        else:
            error.view(seeds, settings, OUTPUTS, batch).sub_(y.mT.unsqueeze(1))
        if spec.recipe == "modern":
            error.mul_(1 / batch)
        q = error.to(self.dtype).mT  # [M, B, 10]

        for layer, (below, unit_noise, above) in enumerate(
            zip((a3, a2, a1), reversed(on_units), (d3, d2, d1), strict=True), start=1
        ):
            weight = masked[3 - layer]
            product(above.mT, q, out=grads[4 - layer])
            if connect and (mask := noise[3 - layer]) is not None:
                grads[4 - layer].mul_(mask)
            torch.sum(q, -2, keepdim=True, out=grads[8 - layer])
            q = product(q, weight.mT)  # [M, B, h]
            if below is a1 and not alone:
                q = q.view(seeds, settings, batch, h1).transpose(1, 2).contiguous()  # [G, B, N, h1]
            if unit_noise is not None:
                q.mul_(unit_noise)
            q = torch.ops.aten.threshold_backward(q, below, 0)
        if not alone:
            q = q.view(seeds, batch, settings * h1)
        product(x.mT, q, out=grads[0])
        torch.sum(q, -2, keepdim=True, out=grads[4])

    def update(self) -> None:
        """One step of Adam (Kingma & Ba 2015) or of plain SGD on all nets at once."""
        if self.dtype != torch.float32:
            self._gradient.copy_(self._working_gradient)
            gradient = self._gradient
        else:
            gradient = self._working_gradient
        if self.spec.recipe == "modern":
            self._time += 1
            torch._fused_adam_(  # what torch.optim.Adam(fused=True) calls; building that optimiser imports a compiler
                [self._master], [gradient], [self._moments[0]], [self._moments[1]], [], [self._time],
                lr=ADAM_RATE, beta1=ADAM_BETAS[0], beta2=ADAM_BETAS[1], weight_decay=0.0, eps=ADAM_EPSILON,
                amsgrad=False, maximize=False,
            )  # fmt: skip
        else:
            self._master.add_(gradient, alpha=-SGD_RATE)
        if self.dtype != torch.float32:
            self._working.copy_(self._master)

    # -- a whole run ------------------------------------------------------------------------------------------------

    def run(self, poll: Callable[[float], bool], on_point: Callable[[int, Point], None], curve: bool) -> list[Trained]:
        """Train to the end, or until ``poll``, called first and every 50 ms with the share done, returns True."""
        steps, began = self.spec.steps, time.perf_counter()
        asked, stopped, done = began, poll(0.0), 0
        points: list[list[Point]] = [[] for _ in self.members]
        marks = iter(curve_steps(self.spec) if curve else ())
        mark = next(marks, None)
        # The output bias's gradient of every step: NaN reaches it in the very step in which any logit is not finite.
        trace = torch.zeros(steps, len(self.members), dtype=self.dtype)
        with torch.inference_mode():
            while not stopped:
                if done == mark:
                    for member, (loss, accuracy) in enumerate(self.held_out()):
                        if not math.isfinite(loss):
                            continue
                        point = Point(done, done * self.spec.batch_size, loss, accuracy, time.perf_counter() - began)
                        points[member].append(point)
                        on_point(member, point)
                    mark = next(marks, None)
                if done == steps:
                    break
                self.differentiate(*self.next_batch(), self.draw())
                self.update()
                trace[done].copy_(self.gradients[7][:, 0, 0])
                done += 1
                if (now := time.perf_counter()) - asked > POLL_SECONDS:
                    asked = now
                    stopped = poll(done / steps) and done < steps
                    if not trace[done - 1].isfinite().any():
                        break
            seconds = time.perf_counter() - began
        if not stopped:
            poll(1.0)
        finite = trace[:done].isfinite()
        results = []
        for member, spec in enumerate(self.members):
            network = None
            lost = (~finite[:, member]).nonzero()
            diverged_at = int(lost[0]) + 1 if len(lost) else None
            if diverged_at is None:
                try:
                    network = self.network(member)
                except ValueError:  # the very last step blew up
                    diverged_at = done
            status = "diverged" if diverged_at else "stopped" if stopped else "done"
            results.append(Trained(spec, network, tuple(points[member]), diverged_at or done, seconds, status, diverged_at))
        return results

    def network(self, member: int) -> Network:
        """One net of the stack, copied out."""
        seed, setting = divmod(member, self.n_settings)
        h1 = self.spec.hidden[0]
        first = self._start[seed][0].clone()
        first[self.live] = self._masters[0][seed].view(-1, self.n_settings, h1)[:, setting]
        bias = self._masters[4][seed].view(self.n_settings, h1)[setting]
        return Network(
            [first, *(self._masters[layer][member].clone() for layer in (1, 2, 3))],
            [bias.clone(), *(self._masters[4 + layer][member, 0].clone() for layer in (1, 2, 3))],
            self.members[member],
        )

    def held_out(self) -> list[tuple[float, float]]:
        """Loss and accuracy of every net on the first held-out images, scaled."""
        n, h1 = min(CURVE_IMAGES, len(self.data.held_x)), self.spec.hidden[0]
        x, y = self.data.held_x[:n, self.live].to(self.dtype), self.data.held_y[:n]
        (w1, *upper, b1, b2, b3, b4) = self.parameters
        a = torch.baddbmm(b1, x.expand(self.n_seeds, *x.shape), w1).relu_()
        a = a.view(self.n_seeds, n, self.n_settings, h1).transpose(1, 2).reshape(len(self.members), n, h1)
        for weight, bias in zip(upper, (b2, b3, b4), strict=True):
            a = torch.baddbmm(bias, a, weight)
            if weight is not upper[-1]:
                a.relu_()
        log_p = a.float().log_softmax(2)
        loss = -log_p.gather(2, y.expand(len(self.members), n).unsqueeze(2)).mean((1, 2))
        accuracy = (log_p.argmax(2) == y).float().mean(1)
        return list(zip(loss.tolist(), accuracy.tolist(), strict=True))


def calibrate(data: mnist.Data | None = None) -> Calibration:
    """Train two short runs on one thread, small steps and large ones, and solve for the two numbers; about a second."""
    data = data or mnist.load()
    trials = [RunSpec(batch_size=16, examples=16 * 400), RunSpec(hidden=(300, 300, 300), examples=128 * 60)]
    times = []
    for spec in trials:
        fit([spec], data=data, curve=False, threads=1)  # the first time includes first times
        times.append(min(fit([spec], data=data, curve=False, threads=1)[0].seconds for _ in range(3)))
    # seconds = flops / speed + steps * step_seconds, for both trials
    (f1, s1), (f2, s2) = ((spec.flops, spec.steps) for spec in trials)
    determinant = f1 * s2 - f2 * s1
    per_flop = (times[0] * s2 - times[1] * s1) / determinant
    per_step = (f1 * times[1] - f2 * times[0]) / determinant
    # A disturbed trial must not promise a negative time.
    return Calibration(1 / max(per_flop, 1e-13), max(per_step, 0.0))
