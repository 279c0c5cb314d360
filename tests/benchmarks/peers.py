"""What somebody would use instead of the engine, each written as its own users write it at its best.

All train 784-100-100-100-10 with dropout 0.4, batch 128 and Adam 1e-3 on MNIST, and return the seconds that the given number of
images took, compiling not counted. What has to be set up once (data on the device, a compiled step) is set up in the factory.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from dropclust.core.mnist import Data
from dropclust.core.paths import cache_folder

WIDTHS, RATE, BATCH, LEARNING_RATE = (784, 100, 100, 100, 10), 0.4, 128, 1e-3
Timed = Callable[[int], float]  # images -> seconds


def module() -> nn.Sequential:
    """The network as torch's documentation builds one."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(WIDTHS[:-1]):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(RATE)]
    return nn.Sequential(*layers, nn.Linear(*WIDTHS[-2:]))


def dataloader_loop(workers: int) -> Timed:
    """The loop of every tutorial: torchvision's dataset, ToTensor, a DataLoader."""
    from torch.utils.data import DataLoader, Subset
    from torchvision.datasets import MNIST
    from torchvision.transforms import Compose, Lambda, ToTensor

    folder = tempfile.mkdtemp()
    shutil.copytree(cache_folder() / "MNIST", f"{folder}/MNIST")
    dataset = MNIST(folder, download=True, transform=Compose([ToTensor(), Lambda(torch.flatten)]))
    shutil.rmtree(folder)

    def run(images: int) -> float:
        loader = DataLoader(Subset(dataset, range(images)), BATCH, shuffle=True, drop_last=True, num_workers=workers)
        model = module()
        optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE)
        loss_of = nn.CrossEntropyLoss()
        began = time.perf_counter()
        for x, y in loader:
            optimiser.zero_grad()
            loss_of(model(x), y).backward()
            optimiser.step()
        return time.perf_counter() - began

    return run


def in_memory_loop(data: Data) -> Timed:
    """The loop of somebody who knows: tensors in memory, shuffled by index, the fused optimiser."""

    def run(images: int) -> float:
        model = module()
        optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
        loss_of = nn.CrossEntropyLoss()
        x, y = data.train_x, data.train_y
        order = torch.randperm(len(x))
        began = time.perf_counter()
        for at in range(0, images - BATCH + 1, BATCH):
            index = order[at % (len(order) - BATCH) :][:BATCH]
            optimiser.zero_grad()
            loss_of(model(x[index]), y[index]).backward()
            optimiser.step()
        return time.perf_counter() - began

    return run


def vmap_loop(data: Data, nets: int) -> Timed:
    """Model ensembling as torch.func's tutorial does it: one functional model, vmapped, and a fused step."""
    from torch.func import functional_call, grad, stack_module_state, vmap

    def run(images: int) -> float:
        models = [module() for _ in range(nets)]
        parameters, buffers = stack_module_state(models)
        base = module().to("meta")

        def loss(p, x, y):  # type: ignore[no-untyped-def]
            return nn.functional.cross_entropy(functional_call(base, (p, buffers), (x,)), y)

        step = vmap(grad(loss), in_dims=(0, None, None), randomness="different")
        leaves = [p.detach() for p in parameters.values()]
        named = dict(zip(parameters, leaves, strict=True))
        moments = [[torch.zeros_like(p) for p in leaves] for _ in range(2)]
        counts = [torch.zeros(()) for _ in leaves]
        x, y = data.train_x, data.train_y
        order = torch.randperm(len(x))
        began = time.perf_counter()
        for at in range(0, images - BATCH + 1, BATCH):
            index = order[at % (len(order) - BATCH) :][:BATCH]
            gradients = step(named, x[index], y[index])
            for count in counts:
                count += 1
            torch._fused_adam_(
                leaves, [gradients[name] for name in named], *moments, [], counts, lr=LEARNING_RATE, beta1=0.9, beta2=0.999,
                weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
            )  # fmt: skip
        return time.perf_counter() - began

    return run


class JaxScan:
    """JAX at its best: the whole training one compiled scan, vmapped over networks; compiling is timed apart."""

    def __init__(self, data: Data, nets: int) -> None:
        import jax
        import jax.numpy as jnp

        self.nets, self.jax = nets, jax
        self.x, self.y = jnp.asarray(data.train_x.numpy()), jnp.asarray(data.train_y.numpy())
        self.compiled: dict[int, object] = {}
        self.compile_seconds = 0.0

        def initial(key):  # type: ignore[no-untyped-def]
            keys = jax.random.split(key, 4)
            pairs = zip(keys, WIDTHS[:-1], WIDTHS[1:], strict=True)
            return [(jax.random.normal(k, (i, o)) * (2 / i) ** 0.5, jnp.zeros(o)) for k, i, o in pairs]

        def loss(parameters, x, y, key):  # type: ignore[no-untyped-def]
            keys = jax.random.split(key, 3)
            for (w, b), k in zip(parameters[:-1], keys, strict=True):
                x = jax.nn.relu(x @ w + b)
                x = jnp.where(jax.random.bernoulli(k, 1 - RATE, x.shape), x / (1 - RATE), 0.0)
            logits = x @ parameters[-1][0] + parameters[-1][1]
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

        def train(key, order):  # type: ignore[no-untyped-def]
            parameters = initial(key)
            zeros = jax.tree.map(jnp.zeros_like, parameters)

            def step(carry, index):  # type: ignore[no-untyped-def]
                p, m, v, t, key = carry
                key, use = jax.random.split(key)
                g = jax.grad(loss)(p, self.x[index], self.y[index], use)
                t = t + 1
                m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
                v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
                rate = LEARNING_RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                p = jax.tree.map(lambda a, b, c: a - rate * b / (jnp.sqrt(c) + 1e-8), p, m, v)
                return (p, m, v, t, key), None

            (parameters, *_), _ = jax.lax.scan(step, (parameters, zeros, zeros, 0.0, key), order)
            return parameters

        self.train = jax.jit(train) if nets == 1 else jax.jit(jax.vmap(train, in_axes=(0, None)))

    def __call__(self, images: int) -> float:
        """Seconds for so many images, the compiled program at hand."""
        import numpy as np

        jax, steps = self.jax, images // BATCH
        order = np.random.default_rng(0).permutation(len(self.x))
        index = jax.numpy.asarray(np.resize(order, steps * BATCH).reshape(steps, BATCH))
        keys = jax.random.key(0) if self.nets == 1 else jax.random.split(jax.random.key(0), self.nets)
        if images not in self.compiled:
            began = time.perf_counter()
            self.compiled[images] = self.train.lower(keys, index).compile()
            self.compile_seconds = time.perf_counter() - began
            jax.block_until_ready(self.compiled[images](keys, index))  # type: ignore[operator]
        began = time.perf_counter()
        jax.block_until_ready(self.compiled[images](keys, index))  # type: ignore[operator]
        return time.perf_counter() - began


def sklearn_classifier(data: Data) -> Timed:
    """scikit-learn's MLPClassifier, which knows no dropout and so has less to do."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    x, y = data.train_x.numpy(), data.train_y.numpy()

    def run(images: int) -> float:
        model = MLPClassifier(WIDTHS[1:-1], batch_size=BATCH, learning_rate_init=LEARNING_RATE, max_iter=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            began = time.perf_counter()
            model.fit(x[:images], y[:images])
            return time.perf_counter() - began

    return run


def training_mode_sampling(data: Data, images: int) -> Timed:
    """Sampling as everybody writes it: forward passes in training mode, their logits kept."""
    model, x = module().train(), data.test_x[:images]

    def run(samples: int) -> float:
        began = time.perf_counter()
        with torch.no_grad():
            logits = torch.stack([model(x) for _ in range(samples)])
            logits.softmax(-1).mean(0), logits.log_softmax(-1).mean(0), logits.std(0), logits.mean(0)
        return time.perf_counter() - began

    return run
