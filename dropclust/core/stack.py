"""A stack: many networks of one shape in lockstep, each as if it were alone, and the step that moves them. No clock here."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from typing import Any

import torch
from torch import Tensor

from dropclust.core import mnist
from dropclust.core.cost import CURVE_IMAGES
from dropclust.core.network import Network
from dropclust.core.noise import bernoulli, draws, draws_room, gaussian, generator, shaped_draws
from dropclust.core.spec import OUTPUTS, RECIPES, RunSpec

ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-8
_CPU = torch.device("cpu")
_BLOCK = 2**18  # values of noise to draw at once: many small steps, or one large
_DEVICE_BLOCK = 16  # steps whose images and noise are laid out at once on a GPU; the same for every stack, for the draws' sake


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
    for epoch in epochs(spec):
        yield from epoch


def epochs(spec: RunSpec) -> Iterator[Tensor]:
    """The `batches` of each epoch, int64 ``[steps, batch_size]``."""
    chosen = mnist.subset(spec.seed if spec.subset_seed is None else spec.subset_seed, spec.train_size)
    stream = generator(spec.seed, "order")
    while True:
        order = chosen[torch.randperm(len(chosen), generator=stream)]
        yield order[: len(order) // spec.batch_size * spec.batch_size].view(-1, spec.batch_size)


# oneDNN's own product where this torch has it: torch gives large float32 products to MKL, which leaves half of an
# AVX-512 processor idle unless Intel made it.
_relu_backward = torch.ops.aten.threshold_backward.grad_input
_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _times_transposed(a: Tensor, b: Tensor) -> Tensor:
    """A large product ``a b^T`` of ``[n, k]`` and ``[m, k]``: ``[n, m]``."""
    if _ONEDNN and a.dtype == torch.float32 and a.device.type == "cpu":
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
        A row a seed, a column a setting. All specs share everything but rates, their schedule and seed; a row shares its seed.
    data
        MNIST. Pixels that no training image lights have no gradient, under either recipe, for ever: they are left out of
        the products, and their weights stay what they were at the start.
    device
        Where the tensors lie.
    blocked
        Whether the images and noise of several steps are laid out at once, all seeds together, and layer 1 of all seeds is
        one product: what suits a GPU, where a block of steps is then one CUDA graph. On a GPU always; on the processor when
        told so, where it makes the same nets.
    steered
        Whether `change_rates` may be called: noise is then drawn for every layer in every step, so that a layer whose noise
        begins later meets the draws that it would have met anyway.
    """

    grid: list[list[RunSpec]]
    data: mnist.Data
    device: torch.device = _CPU
    blocked: bool = False
    steered: bool = False
    parameters: list[Tensor] = field(init=False)  # G times W1 [N h1, live + 1 ..], then W2..W4 [M, out, in + 1 ..]
    gradients: list[Tensor] = field(init=False)  # of the same shapes

    def __post_init__(self) -> None:
        spec = self.grid[0][0]
        self.spec, self.n_seeds, self.n_settings = spec, len(self.grid), len(self.grid[0])
        self.members = [member for row in self.grid for member in row]
        seeds, settings, nets, batch = self.n_seeds, self.n_settings, len(self.members), spec.batch_size
        self._alone = nets == 1
        self.blocked |= self.device.type == "cuda"
        self.data = self.data.on(self.device)
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
        self._master = torch.zeros(sum(sizes), device=self.device)
        self._masters = shaped(self._master)
        above = sum(sizes[:seeds])
        masters = self._master[:above], self._master[above:]
        working = masters[0].to(self.dtype), masters[1].to(self._upper_dtype)
        self._copies = [(copy, of) for copy, of in zip(working, masters, strict=True) if copy.dtype != of.dtype]
        self.parameters = [*shaped(working[0], slice(seeds)), *shaped(working[1], slice(seeds, None))]
        self._upper_gradient = torch.zeros_like(working[1])
        first_gradient = torch.zeros_like(working[0])
        self.gradients = [*shaped(first_gradient, slice(seeds)), *shaped(self._upper_gradient, slice(seeds, None))]
        self._shaped = shaped
        self._start = [initial_weights(row[0]) for row in self.grid]
        for seed, start in enumerate(self._start):
            weights = [weight.to(self.device) for weight in start]
            self._masters[seed].view(settings, spec.hidden[0], -1)[..., : len(self.live)] = weights[0][self.live].mT
            for layer, weight in enumerate(weights[1:]):
                upper = self._masters[seeds + layer].view(seeds, settings, weight.shape[1], -1)[seed]
                upper[..., : weight.shape[0]] = weight.mT
        for copy, of in self._copies:
            copy.copy_(of)
        self._updated = list(masters) if self.blocked else [*self._masters[:seeds], masters[1]]
        self._recipe = RECIPES[spec.recipe]
        self._mean = self._recipe.optimiser == "adam"  # of a batch's losses is what is made small, and not their sum
        if self._mean:
            self._moments = [[torch.zeros_like(weights) for weights in self._updated] for _ in range(2)]
            self._time = torch.zeros((), device=self.device)

        # Rates of the next step whose noise is drawn, and by step those that become others: of which net, which.
        self._rates = torch.tensor([[m.dropout for m in row] for row in self.grid], device=self.device)  # [G, N, 3]
        self._changes: dict[int, list[tuple[int, tuple[float, ...]]]] = {}
        for member, run in enumerate(self.members):
            for step, rates in run.schedule:
                self._changes.setdefault(step, []).append((member, rates))
        ever = [rates for run in self.members for rates in (run.dropout, *(rates for _, rates in run.schedule))]
        self._noisy = [self.steered or any(rates[layer] > 0 for rates in ever) for layer in range(3)]
        self._streams = [
            [generator(row[0].seed, "noise", layer, device=self.device) for row in self.grid] for layer in (1, 2, 3)
        ]
        self.done = 0  # steps
        # The output bias's gradient of every step: NaN reaches it in the very step in which any logit is not finite.
        self.trace = torch.zeros(spec.steps, nets, dtype=self._upper_dtype, device=self.device)
        self._target = -1 / batch if self._mean else -1.0
        self._noise_shapes = [
            (above, width) if spec.noise == "dropconnect" else (width, batch) for width, above in pairwise(spec.widths[1:])
        ]
        most = nets * max(map(math.prod, self._noise_shapes))
        self._block_steps = _DEVICE_BLOCK if self.blocked else min(max(1, _BLOCK // most), 64)
        self._batches: Iterator[tuple[Sequence[Tensor] | Tensor, Tensor]] = iter(())
        self._blocks = [
            torch.empty(
                self._block_steps, seeds, settings, *shape,
                dtype=self._upper_dtype if self.blocked else torch.float32, device=self.device,
            )
            if noisy else None
            for noisy, shape in zip(self._noisy, self._noise_shapes, strict=True)
        ]  # fmt: skip
        self._noises: Iterator[tuple[Tensor | None, ...]] = iter(())
        self._drawn = 0  # steps whose noise was drawn
        kept = self.blocked or self.steered  # draws are, by seed; else each is used at once, while it is in the cache
        self._rooms = [
            torch.stack([draws_room(spec.noise, shape, self._block_steps, self.device)] * seeds) if noisy and kept else None
            for noisy, shape in zip(self._noisy, self._noise_shapes, strict=True)
        ]
        if self.blocked:
            self._lay_out(working[0].view(seeds, -1, columns), first_gradient.view(seeds, -1, columns))
        else:
            self._order = [batches(row[0]) for row in self.grid]
            self._pixels = torch.empty(batch, columns, dtype=torch.uint8)
            self._x = [torch.empty(batch, columns, dtype=self.dtype) for _ in range(seeds)]

        # What a step writes into, and its views, made once. A net alone has plain matrices: their products alone spread
        # over threads.
        padded = [shape[2] for shape in shapes[seeds:]]

        def plain(tensors: Sequence[Tensor]) -> list[Tensor]:
            return [tensor[0] if self._alone else tensor for tensor in tensors]

        def room(rows: Sequence[int], apart: bool = True) -> tuple[Tensor, list[Tensor]]:
            """A matrix of so many rows and B columns for each layer and net: layer after layer, or all in one place."""
            sizes = [height * nets * batch for height in rows]
            together = torch.zeros(sum(sizes) if apart else max(sizes), dtype=self._upper_dtype, device=self.device)
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

    def _lay_out(self, first: Tensor, first_gradients: Tensor) -> None:
        """Make room for a block of steps, at addresses that never change, and learn the order of all images.

        Layer 1 of all seeds is one tensor here, and so are its gradients: ``[G, N h1, live + 1 ..]``.
        """
        spec, seeds, nets, block, columns = self.spec, self.n_seeds, len(self.members), self._block_steps, first.shape[2]
        orders = [_order(row[0], -(-spec.steps // block) * block) for row in self.grid]
        self._orders = torch.stack(orders, 1).to(self.device)  # [steps, G, B]
        self._laid = 0  # steps whose images were laid out
        shape = block, seeds, spec.batch_size
        self._block_pixels = torch.zeros(*shape, columns, dtype=torch.uint8, device=self.device)
        self._block_x = torch.zeros(*shape, columns, dtype=self.dtype, device=self.device)
        self._block_targets = torch.zeros(block, seeds, OUTPUTS, spec.batch_size, device=self.device)
        self._block_trace = torch.zeros(block, nets, dtype=self._upper_dtype, device=self.device)
        # What each step of a block learns from.
        noises = self._noises_of_block()
        self._steps = list(zip(self._block_x.unbind(), self._block_targets.unbind(), noises, strict=True))
        self._first, self._first_gradients = first, first_gradients
        self._first_z = torch.zeros(*first.shape[:2], spec.batch_size, dtype=self.dtype, device=self.device)
        self._graphs: dict[range, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None  # the memory that all graphs share: they take turns
        self._under_way: deque[torch.cuda.Event] = deque()  # blocks that were handed to the GPU

    def _lay_images(self) -> None:
        """Gather the images and labels of the next block."""
        block, columns = self._block_steps, self._block_x.shape[-1]
        index = self._orders[self._laid : self._laid + block].reshape(-1)
        torch.index_select(self.data.train_lit, 0, index, out=self._block_pixels.view(-1, columns))
        self._block_x.copy_(self._block_pixels)
        labels = self.data.train_y.index_select(0, index).view(block, self.n_seeds, 1, -1)
        self._block_targets.zero_().scatter_(2, labels, self._target)
        self._laid += block

    def _lay_noise(self) -> None:
        """Draw the noise of the next block: each seed and layer from a stream of its own, whatever else is in the stack."""
        block = self._block_steps
        steps = range(self._drawn, self._drawn + block)
        by_step = [self._rates]
        if not self._changes.keys().isdisjoint(steps):
            by_step = [self._rates_from(step) for step in steps]
        self._block_rates = torch.stack(by_step)  # [steps, G, N, 3], or [1, G, N, 3] where they stay what they are
        self._drawn += block
        self._make_noise(fresh=True)

    def _rates_from(self, step: int) -> Tensor:
        """Rates ``[G, N, 3]`` from this step on, by the schedules."""
        if step in self._changes:
            self._rates = self._rates.clone()
            for member, rates in self._changes[step]:
                self._rates.view(-1, 3)[member] = torch.tensor(rates)
        return self._rates

    def _make_noise(self, fresh: bool) -> None:
        """The noise of a block by its rates: of fresh draws, or again of those it was made of."""
        kind, block = self.spec.noise, self._block_steps
        scale = gaussian if kind == "gaussian" else bernoulli
        for layer, (shape, room, noise) in enumerate(zip(self._noise_shapes, self._rooms, self._blocks, strict=True)):
            if noise is None:
                continue
            rates, streams = self._block_rates[..., layer, None, None], self._streams[layer]
            if room is None:
                for seed, stream in enumerate(streams):
                    scale(draws(kind, shape, stream, block).unsqueeze(1), rates[:, seed], out=noise[:, seed])
                continue
            if fresh:
                for stream, part in zip(streams, room, strict=True):
                    draws(kind, shape, stream, block, part)
            drawn = shaped_draws(kind, shape, room).transpose(0, 1).unsqueeze(2)  # [steps, G, 1, *shape]
            scale(drawn, rates, out=noise)

    def change_rates(self, rates: Sequence[Sequence[float]]) -> None:
        """From the next step on the nets have these rates, three for each net, and no schedule any more.

        What was drawn stays: the noise is the one that a schedule with these rates would have made.
        """
        self._changes.clear()
        self._rates = torch.tensor(rates, device=self.device).view(self._rates.shape)
        if left := self._drawn - self.done:
            block = self._block_steps
            before = self._block_rates.expand(block, -1, -1, -1)[: block - left]
            self._block_rates = torch.cat([before, self._rates.expand(left, -1, -1, -1)])
            self._make_noise(fresh=False)
            if not self.blocked:
                self._noises = islice(self._noises_of_block(), block - left, None)

    def _noises_of_block(self) -> Iterator[tuple[Tensor | None, ...]]:
        """The noise of each step of the block."""
        layers: list[Sequence[Tensor | None]] = [
            [None] * self._block_steps
            if block is None
            else block.flatten(0 if self._alone else 1, 2).to(self._upper_dtype).unbind()
            for block in self._blocks
        ]
        return zip(*layers, strict=True)

    # -- one step ---------------------------------------------------------------------------------------------------

    def next_batch(self) -> tuple[Sequence[Tensor] | Tensor, Tensor]:
        """What a step learns from.

        The next images of each seed in levels from 0 to 255, ``[B, live + 1 ..]``, and the gradient of the loss by the
        log-probabilities, ``[G, 10, B]``: minus the one-hot labels, divided by B where the loss is a mean.
        """
        batch = next(self._batches, None)
        if self.blocked:
            if batch is None:
                self._lay_images()
                self._batches = iter([step[:2] for step in self._steps])
                batch = next(self._batches)
            return batch
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
            self._lay_noise()
            self._noises = iter([step[2] for step in self._steps]) if self.blocked else self._noises_of_block()
            noise = next(self._noises)
        return noise

    def differentiate(self, x: Sequence[Tensor] | Tensor, target: Tensor, noise: Sequence[Tensor | None]) -> None:
        """Write the gradient of every net's loss into ``gradients``: mean over the batch with Adam, sum with SGD.

        Backpropagation by hand (Rumelhart et al. 1986). ReLU's gradient at 0 is 0.
        """
        spec, seeds, nets, batch = self.spec, self.n_seeds, len(self.members), self.spec.batch_size
        if self._alone:
            target = target[0]
        elif self.n_settings > 1:
            target = target.unsqueeze(1).expand(-1, self.n_settings, -1, -1).reshape(nets, OUTPUTS, batch)
        product = torch.mm if self._alone else torch.bmm
        connect = spec.noise == "dropconnect"
        on_units = [None] * 3 if connect else noise
        weights, transposed = self._upper, self._upper_transposed
        if connect:
            weights = [w if r is None else _masked(w, r) for w, r in zip(weights, noise, strict=True)]
            transposed = [w.mT for w in weights]

        # Shapes are of a stack; a net alone lacks their first dimension. Layer 1 saw levels: its units are made small again,
        # before they are used and before its gradient is, which is less work than to make the images small.
        if isinstance(x, Tensor):
            z = self._first_z.baddbmm_(self._first, x.mT, beta=0, alpha=1 / mnist.LEVELS).to(self._upper_dtype)
            z = z[0] if self._alone else z
        else:
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
        if isinstance(x, Tensor):
            q = q.to(self.dtype).view(seeds, -1, batch)
            self._first_gradients.baddbmm_(q, x, beta=0, alpha=1 / mnist.LEVELS)
            return
        q = q.mul_(1 / mnist.LEVELS).to(self.dtype).view(seeds, -1, batch)
        for seed, (part, rows) in enumerate(zip(q, x, strict=True)):
            self.gradients[seed] = _times_transposed(part, rows.mT)

    def update(self) -> None:
        """One step of Adam (Kingma & Ba 2015) or of plain SGD on all nets at once."""
        first = [self._first_gradients.flatten()] if self.blocked else self.gradients[: self.n_seeds]
        gradients = [gradient.float() for gradient in (*first, self._upper_gradient)]
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

    # -- many steps -------------------------------------------------------------------------------------------------

    def advance(self, most: int) -> int:
        """Make some steps, one or more and ``most`` at most; returns how many.

        On a GPU they are queued, two blocks ahead of it at most, so that whoever stops a run does not wait long.
        """
        if not self.blocked:
            self.differentiate(*self.next_batch(), self.draw())
            self.update()
            self.trace[self.done].copy_(self._output_bias_gradient)
            self.done += 1
            return 1
        at = self.done % self._block_steps
        if at == 0:
            self._lay_images()
            self._lay_noise()
        made = range(at, min(at + most, self._block_steps))
        # The first block is made call by call: libraries set themselves up, which a graph must not record.
        if self.device.type == "cpu" or self.done < self._block_steps:
            self._make(made)
        elif len(made) == self._block_steps:
            self._replay(made)
        else:
            for step in made:
                self._replay(range(step, step + 1))
        self.trace[self.done : self.done + len(made)] = self._block_trace[at : at + len(made)]
        self.done += len(made)
        if self.device.type == "cuda":
            if len(self._under_way) == 2:
                self._under_way.popleft().synchronize()
            self._under_way.append(torch.cuda.Event())  # type: ignore[no-untyped-call]
            self._under_way[-1].record()
        return len(made)

    def _make(self, steps: range) -> None:
        """Make these steps of the block."""
        for step in steps:
            self.differentiate(*self._steps[step])
            self.update()
            self._block_trace[step].copy_(self._output_bias_gradient)

    def _replay(self, steps: range) -> None:
        """Make these steps of the block by a CUDA graph: hundreds of calls as one, recorded at its first use."""
        graph = self._graphs.get(steps)
        if graph is None:
            graph = self._graphs[steps] = torch.cuda.CUDAGraph()
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                self._make(steps)
            finally:
                graph.capture_end()
        graph.replay()

    @contextmanager
    def queue(self) -> Iterator[None]:
        """On a GPU, a stream of its own: a graph cannot be recorded on the usual one. What was queued is done at the end."""
        if self.device.type == "cpu":
            yield
            return
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            yield
        stream.synchronize()

    # -- what was learnt --------------------------------------------------------------------------------------------

    def networks(self) -> list[Network | None]:
        """Every net of the stack, copied out to the processor; None for one whose numbers are not finite."""
        layers, live = self._shaped(self._master.cpu()), self.live.cpu()
        below = [len(live), *self.spec.hidden]
        found: list[Network | None] = []
        for member, spec in enumerate(self.members):
            seed, setting = divmod(member, self.n_settings)
            first = layers[seed].view(self.n_settings, self.spec.hidden[0], -1)[setting]
            own = [first, *(upper[member] for upper in layers[self.n_seeds :])]
            weights = [
                layer[:, :width].t().clone(memory_format=torch.contiguous_format)
                for layer, width in zip(own, below, strict=True)
            ]
            whole = self._start[seed][0].clone()
            whole[live] = weights[0]
            biases = [layer[:, width].clone() for layer, width in zip(own, below, strict=True)]
            try:
                found.append(Network([whole, *weights[1:]], biases, spec))
            except ValueError:
                found.append(None)
        return found

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


def _order(spec: RunSpec, steps: int) -> Tensor:
    """Indices of the training images of the first steps, int32 ``[steps, batch_size]``."""
    parts, made = [], 0
    for epoch in epochs(spec):
        parts.append(epoch.to(torch.int32))
        made += len(epoch)
        if made >= steps:
            break
    return torch.cat(parts)[:steps]


def device_bytes(spec: RunSpec) -> float:
    """Memory that one more net of a blocked stack takes, at most: with images of its own, in float32."""
    units, pixels = sum(spec.hidden), spec.widths[0]
    noise = sum(
        above * below if spec.noise == "dropconnect" else below * spec.batch_size for below, above in pairwise(spec.widths[1:])
    )
    step = 4 * (7 * units + 4 * OUTPUTS) * spec.batch_size + 4 * noise
    block = _DEVICE_BLOCK * (8 * noise + (5 * pixels + 5 * OUTPUTS) * spec.batch_size)
    return 28 * spec.n_parameters + step + block + 4 * spec.examples + 8 * spec.steps
