"""The engine: many networks trained at once, each as if it were alone. It knows specs and tensors, and nothing of who waits."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from typing import TypeVar

import torch
from torch import Tensor

from dropclust.core import mnist
from dropclust.core.cost import CURVE_IMAGES, Calibration, curve_steps
from dropclust.core.network import Network
from dropclust.core.noise import bernoulli, draws, gaussian, generator
from dropclust.core.spec import OUTPUTS, PRECISIONS, RECIPES, RunSpec

ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-8
POLL_SECONDS = 0.05  # how often a run asks whether it should stop

# A stack's parameters, gradients and two moments should stay in the last-level cache, and a step should end well within
# the time in which somebody expects "stop" to act.
_STACK_PARAMETERS = 1_100_000
_STACK_STEP_FLOPS = 4e9
_BLOCK = 2**18  # values of noise to draw at once: many small steps, or one large


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

    "he": normal of variance 2 / in (He et al. 2015). "glorot": uniform within sqrt(6 / (in + out)) (Glorot & Bengio 2010).
    The rates have no say, so that nets of one seed start alike.
    """
    weights = []
    for layer, (n_in, n_out) in enumerate(zip(spec.widths[:-1], spec.widths[1:], strict=True), start=1):
        weight, stream = torch.empty(n_in, n_out), generator(spec.seed, "weights", layer)
        if RECIPES[spec.recipe].initialisation == "he":
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
    chosen = mnist.subset(spec.seed if spec.subset_seed is None else spec.subset_seed, spec.train_size)
    stream = generator(spec.seed, "order")
    while True:
        order = chosen[torch.randperm(len(chosen), generator=stream)]
        whole = order[: len(order) // spec.batch_size * spec.batch_size]
        yield from whole.view(-1, spec.batch_size)


# oneDNN's own product where this torch has it: torch gives large float32 products to MKL, which leaves half of an
# AVX-512 processor idle unless Intel made it.
_relu_backward = torch.ops.aten.threshold_backward.grad_input
_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _times_transposed(a: Tensor, b: Tensor) -> Tensor:
    """A large product ``a b^T`` of ``[n, k]`` and ``[m, k]``: ``[n, m]``."""
    if _ONEDNN and a.dtype == torch.float32:
        product: Tensor = torch.ops.mkldnn._linear_pointwise.default(a, b, None, "none", [], "")
        return product
    return torch.mm(a, b.mT)


@dataclass(eq=False)
class Stack:
    """G seeds x N settings of one shape, trained in lockstep; M = G N nets.

    Weights lie ``[out, in]`` and activations ``[units, images]``: the N nets of a seed are one product in layer 1, whose
    result lies as layer 2 takes it. A bias is a column of its weights, met by an input of ones; columns of zeros, whose
    gradient is 0, fill each row up to whole vectors of the processor.

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
    parameters: list[Tensor] = field(init=False)  # G times W1 [N h1, live + 1 ..], then W2..W4 [M, out, in + 1 ..]
    gradients: list[Tensor] = field(init=False)  # of the same shapes

    def __post_init__(self) -> None:
        spec = self.grid[0][0]
        self.spec, self.n_seeds, self.n_settings = spec, len(self.grid), len(self.grid[0])
        self.members = [member for row in self.grid for member in row]
        seeds, settings, nets, batch = self.n_seeds, self.n_settings, len(self.members), spec.batch_size
        self._alone = nets == 1
        # A product as small as those of a lone net's upper layers takes no less time in bfloat16.
        self.dtype = torch.bfloat16 if spec.precision == "bfloat16" else torch.float32
        self._upper_dtype = torch.float32 if self._alone else self.dtype
        self.live = self.data.live

        columns = self.data.train_lit.shape[1]
        shapes: list[tuple[int, ...]] = [(settings * spec.hidden[0], columns)] * seeds
        shapes += [(nets, above, -(-(below + 1) // 8) * 8) for below, above in pairwise(spec.widths[1:])]
        sizes = [math.prod(shape) for shape in shapes]

        def shaped(buffer: Tensor, layers: slice = slice(None)) -> list[Tensor]:
            parts = torch.split(buffer, sizes[layers])
            return [part.view(shape) for part, shape in zip(parts, shapes[layers], strict=True)]

        # The optimiser's weights; the products read them, or a copy in bfloat16. Those above layer 1 are updated as one.
        self._master = torch.zeros(sum(sizes))
        self._masters = shaped(self._master)
        above = sum(sizes[:seeds])
        masters = self._master[:above], self._master[above:]
        working = masters[0].to(self.dtype), masters[1].to(self._upper_dtype)
        self._copies = [(copy, of) for copy, of in zip(working, masters, strict=True) if copy.dtype != of.dtype]
        self.parameters = [*shaped(working[0], slice(seeds)), *shaped(working[1], slice(seeds, None))]
        self._upper_gradient = torch.zeros_like(working[1])
        self.gradients = [torch.zeros_like(weights) for weights in self.parameters[:seeds]]
        self.gradients += shaped(self._upper_gradient, slice(seeds, None))
        self._start = [initial_weights(row[0]) for row in self.grid]
        for seed, weights in enumerate(self._start):
            self._masters[seed].view(settings, spec.hidden[0], -1)[..., : len(self.live)] = weights[0][self.live].mT
            for layer, weight in enumerate(weights[1:]):
                upper = self._masters[seeds + layer].view(seeds, settings, weight.shape[1], -1)[seed]
                upper[..., : weight.shape[0]] = weight.mT
        for copy, of in self._copies:
            copy.copy_(of)
        self._updated = [*self._masters[:seeds], masters[1]]
        self._recipe = RECIPES[spec.recipe]
        self._mean = self._recipe.optimiser == "adam"  # of a batch's losses is what is made small, and not their sum
        if self._mean:
            self._moments = [[torch.zeros_like(weights) for weights in self._updated] for _ in range(2)]
            self._time = torch.zeros(())

        self._rates = torch.tensor([[m.dropout for m in row] for row in self.grid])  # [G, N, 3]
        self._noisy = [bool((self._rates[..., layer] > 0).any()) for layer in range(3)]
        self._streams = [[generator(row[0].seed, "noise", layer) for row in self.grid] for layer in (1, 2, 3)]
        self._order = [batches(row[0]) for row in self.grid]
        self._target = -1 / batch if self._mean else -1.0
        self._noise_shapes = [
            (above, width) if spec.noise == "dropconnect" else (width, batch) for width, above in pairwise(spec.widths[1:])
        ]
        most = nets * max(map(math.prod, self._noise_shapes))
        self._block_steps = min(max(1, _BLOCK // most), 64)
        self._batches: Iterator[tuple[Sequence[Tensor], Tensor]] = iter(())
        self._blocks = [
            torch.empty(self._block_steps, seeds, settings, *shape) if noisy else None
            for noisy, shape in zip(self._noisy, self._noise_shapes, strict=True)
        ]
        self._noises: Iterator[tuple[Tensor | None, ...]] = iter(())

        # What a step writes into, and its views, made once. A net alone has plain matrices: their products alone spread
        # over threads.
        self._pixels = torch.empty(batch, columns, dtype=torch.uint8)
        self._x = [torch.empty(batch, columns, dtype=self.dtype) for _ in range(seeds)]
        padded = [shape[2] for shape in shapes[seeds:]]

        def plain(tensors: Sequence[Tensor]) -> list[Tensor]:
            return [tensor[0] if self._alone else tensor for tensor in tensors]

        def room(rows: Sequence[int], apart: bool = True) -> tuple[Tensor, list[Tensor]]:
            """A matrix of so many rows and B columns for each layer and net: layer after layer, or all in one place."""
            sizes = [height * nets * batch for height in rows]
            together = torch.zeros(sum(sizes) if apart else max(sizes), dtype=self._upper_dtype)
            parts = torch.split(together, sizes) if apart else [together[:size] for size in sizes]
            return together, plain([part.view(nets, height, batch) for part, height in zip(parts, rows, strict=True)])

        def of_units(tensors: Sequence[Tensor]) -> list[Tensor]:
            return [tensor[..., :width, :] for tensor, width in zip(tensors, spec.hidden, strict=True)]

        self._upper, self._upper_gradients = plain(self.parameters[seeds:]), plain(self.gradients[seeds:])
        self._upper_transposed = [weights.mT for weights in self._upper]
        all_inputs, self._inputs = room(padded)  # of layers 2 to 4, [M, in + 1 .., B]
        for tensor, width in zip(self._inputs, spec.hidden, strict=True):
            tensor[..., width, :] = 1
        self._inputs_transposed = [tensor.mT for tensor in self._inputs]
        self._units = of_units(self._inputs)
        _, self._input_errors = room(padded, apart=False)  # the loss's gradient by the inputs
        self._unit_errors = of_units(self._input_errors)
        _, self._slopes = room(spec.hidden)  # of ReLU and noise: the noise where a unit is on, 0 where it is off
        # Two equally large products take less time together, one on each core, than one after the other on both.
        paired = self._alone and len(set(spec.hidden)) == 1 and spec.noise != "dropconnect"
        all_errors, self._errors = room(spec.hidden, apart=paired)  # the loss's gradient by what ReLU is given, [M, h, B]
        self._pair: tuple[Tensor, Tensor, Tensor] | None = None
        if paired:
            errors, inputs = all_errors.view(3, -1, batch)[1:], all_inputs.view(3, -1, batch)[:2]
            gradients = self._upper_gradient[: 2 * self._upper[0].numel()].view(2, *self._upper[0].shape)
            self._pair = errors, inputs.mT, gradients
        self._output_bias_gradient = self.gradients[-1][:, 0, spec.hidden[2]]

    # -- one step ---------------------------------------------------------------------------------------------------

    def next_batch(self) -> tuple[list[Tensor], Tensor]:
        """What a step learns from.

        The next images of each seed in levels from 0 to 255, ``[B, live + 1 ..]``, and the gradient of the loss by the
        log-probabilities, ``[G, 10, B]``: minus the one-hot labels, divided by B where the loss is a mean.
        """
        batch = next(self._batches, None)
        if batch is None:
            indices = torch.stack([torch.stack(list(islice(order, self._block_steps))) for order in self._order], 1)
            targets = torch.zeros(self._block_steps, self.n_seeds, OUTPUTS, self.spec.batch_size)
            targets.scatter_(2, self.data.train_y[indices].unsqueeze(2), self._target)
            self._batches = zip([of_step.unbind() for of_step in indices.unbind()], targets.unbind(), strict=True)
            batch = next(self._batches)
        index, target = batch
        for x, chosen in zip(self._x, index, strict=True):
            torch.index_select(self.data.train_lit, 0, chosen, out=self._pixels)
            x.copy_(self._pixels)
        return self._x, target

    def draw(self) -> tuple[Tensor | None, ...]:
        """The noise of one step, a tensor of mean 1 for each hidden layer, or None where no net of the stack has any.

        Bernoulli and Gaussian: ``[M, h, B]``. DropConnect: one weight mask for the batch, ``[M, out, in]``. A net alone lacks
        the first dimension. Nets of one seed share their draws. What is returned is overwritten some steps later.
        """
        noise = next(self._noises, None)
        if noise is None:
            scale = gaussian if self.spec.noise == "gaussian" else bernoulli
            layers: list[Sequence[Tensor | None]] = []
            for layer, (shape, block) in enumerate(zip(self._noise_shapes, self._blocks, strict=True)):
                if block is None:
                    layers.append([None] * self._block_steps)
                    continue
                for seed, stream in enumerate(self._streams[layer]):
                    drawn = draws(self.spec.noise, shape, stream, self._block_steps).unsqueeze(1)
                    scale(drawn, self._rates[seed, :, layer, None, None], out=block[:, seed])
                layers.append(block.flatten(0 if self._alone else 1, 2).to(self._upper_dtype).unbind())
            self._noises = zip(*layers, strict=True)
            noise = next(self._noises)
        return noise

    def differentiate(self, x: Sequence[Tensor], target: Tensor, noise: Sequence[Tensor | None]) -> None:
        """Write the gradient of every net's loss into ``gradients``: mean over the batch with Adam, sum with SGD.

        Backpropagation by hand (Rumelhart et al. 1986). ReLU's gradient at 0 is 0.
        """
        spec, seeds, nets, batch = self.spec, self.n_seeds, len(self.members), self.spec.batch_size
        if self._alone:
            target = target[0]
        elif self.n_settings > 1:
            target = target.repeat_interleave(self.n_settings, 0)
        product = torch.mm if self._alone else torch.bmm
        connect = spec.noise == "dropconnect"
        on_units = [None] * 3 if connect else noise
        weights, transposed = self._upper, self._upper_transposed
        if connect:
            weights = [w if r is None else _masked(w, r) for w, r in zip(weights, noise, strict=True)]
            transposed = [w.mT for w in weights]

        # Shapes are of a stack; a net alone lacks their first dimension. Layer 1 saw levels: its units are made small again,
        # before they are used and before its gradient is, which is less work than to make the images small.
        first = [_times_transposed(weight, rows) for weight, rows in zip(self.parameters[:seeds], x, strict=True)]
        z = (first[0] if seeds == 1 else torch.cat(first)).to(self._upper_dtype).mul_(1 / mnist.LEVELS)
        if not self._alone:
            z = z.view(nets, spec.hidden[0], batch)
        for weight, r, inputs, units, slope in zip(weights, on_units, self._inputs, self._units, self._slopes, strict=True):
            if r is None:
                torch.clamp_min(z, 0, out=units)
            else:
                _relu_backward(r, z, 0, grad_input=slope)
                torch.mul(z, slope, out=units)
            z = product(weight, inputs)  # [M, out, B]
        # Classes before images: torch's softmax is vectorised along every dimension but a short last one.
        log_p = z.float().log_softmax(-2)
        q = torch._log_softmax_backward_data(target, log_p, -2, torch.float32).to(self._upper_dtype)  # [M, 10, B]

        for layer in (2, 1, 0):
            gradient, errors = self._upper_gradients[layer], self._errors[layer]
            if layer == 2 or self._pair is None:
                product(q, self._inputs_transposed[layer], out=gradient)
            if connect and (mask := noise[layer]) is not None:
                gradient[..., : spec.hidden[layer]].mul_(mask)
            product(transposed[layer], q, out=self._input_errors[layer])
            if on_units[layer] is None:
                _relu_backward(self._unit_errors[layer], self._units[layer], 0, grad_input=errors)
            else:
                torch.mul(self._unit_errors[layer], self._slopes[layer], out=errors)
            q = errors
        if self._pair is not None:
            torch.bmm(self._pair[0], self._pair[1], out=self._pair[2])
        q = q.mul_(1 / mnist.LEVELS).to(self.dtype).view(seeds, -1, batch)
        for seed, (part, rows) in enumerate(zip(q, x, strict=True)):
            self.gradients[seed] = _times_transposed(part, rows.mT)

    def update(self) -> None:
        """One step of Adam (Kingma & Ba 2015) or of plain SGD on all nets at once."""
        gradients = [gradient.float() for gradient in (*self.gradients[: self.n_seeds], self._upper_gradient)]
        if self._mean:
            self._time += 1
            torch._fused_adam_(  # what torch.optim.Adam(fused=True) calls; building that optimiser imports a compiler
                self._updated, gradients, self._moments[0], self._moments[1], [], [self._time] * len(gradients),
                lr=self._recipe.learning_rate, beta1=ADAM_BETAS[0], beta2=ADAM_BETAS[1], weight_decay=0.0, eps=ADAM_EPSILON,
                amsgrad=False, maximize=False,
            )  # fmt: skip
        else:
            for weights, gradient in zip(self._updated, gradients, strict=True):
                weights.add_(gradient, alpha=-self._recipe.learning_rate)
        for copy, of in self._copies:
            copy.copy_(of)

    # -- a whole run ------------------------------------------------------------------------------------------------

    def run(self, poll: Callable[[float], bool], on_point: Callable[[int, Point], None], curve: bool) -> list[Trained]:
        """Train to the end, or until ``poll``, called first and every 50 ms with the share done, returns True."""
        steps, began = self.spec.steps, time.perf_counter()
        asked, stopped, done = began, poll(0.0), 0
        points: list[list[Point]] = [[] for _ in self.members]
        marks = iter(curve_steps(self.spec) if curve else ())
        mark = next(marks, None)
        # The output bias's gradient of every step: NaN reaches it in the very step in which any logit is not finite.
        trace = torch.zeros(steps, len(self.members), dtype=self._upper_dtype)
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
                trace[done].copy_(self._output_bias_gradient)
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
        first = self._masters[seed].view(self.n_settings, self.spec.hidden[0], -1)[setting]
        layers = [first, *(upper[member] for upper in self._masters[self.n_seeds :])]
        below = [len(self.live), *self.spec.hidden]
        weights = [
            layer[:, :width].t().clone(memory_format=torch.contiguous_format)
            for layer, width in zip(layers, below, strict=True)
        ]
        whole = self._start[seed][0].clone()
        whole[self.live] = weights[0]
        biases = [layer[:, width].clone() for layer, width in zip(layers, below, strict=True)]
        return Network([whole, *weights[1:]], biases, self.members[member])

    @cached_property
    def _held_images(self) -> Tensor:
        return self.data.lit(self.data.held_x[:CURVE_IMAGES], self.dtype)

    def held_out(self) -> list[tuple[float, float]]:
        """Loss and accuracy of every net on the first held-out images, scaled."""
        nets, x = len(self.members), self._held_images
        z = torch.cat([_times_transposed(weight, x) for weight in self.parameters[: self.n_seeds]])
        z = z.view(nets, -1, len(x))
        z = z.to(self._upper_dtype)
        for weight, width in zip(self.parameters[self.n_seeds :], self.spec.hidden, strict=True):
            z = torch.baddbmm(weight[:, :, width, None], weight[:, :, :width], z.relu_())
        y, log_p = self.data.held_y[: len(x)].expand(nets, -1), z.float().log_softmax(1)  # [M, 10, n]
        loss = -log_p.gather(1, y.unsqueeze(1)).mean((1, 2))
        accuracy = (log_p.argmax(1) == y).float().mean(1)
        return list(zip(loss.tolist(), accuracy.tolist(), strict=True))


def _masked(weights: Tensor, mask: Tensor) -> Tensor:
    """Weights times a mask, and their bias columns as they are."""
    masked = weights.clone()
    masked[..., : mask.shape[-1]].mul_(mask)
    return masked


def faster_precision(data: mnist.Data | None = None) -> str:
    """Which of `PRECISIONS` trains twenty networks faster on one thread: a trial of a second, longer where bfloat16 is slow.

    "float32" unless bfloat16 products save a tenth of the time: the reference, where nothing is to be gained.
    """
    data = data or mnist.load()
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(4):
        for precision, times in seconds.items():
            specs = [RunSpec(dropout=(0.02 * i,) * 3, examples=128 * 10, precision=precision) for i in range(20)]
            times.append(fit(specs, data=data, curve=False, threads=1)[0].seconds)
    # The first time includes first times.
    return "bfloat16" if min(seconds["bfloat16"][1:]) < 0.9 * min(seconds["float32"][1:]) else "float32"


def calibrate(data: mnist.Data | None = None) -> Calibration:
    """Train two short runs on one thread, small steps and large ones, and solve for the two numbers; about a second."""
    data = data or mnist.load()
    trials = [RunSpec(batch_size=16, examples=16 * 400), RunSpec(hidden=(400, 200, 200), examples=128 * 60)]
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
