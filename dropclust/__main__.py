"""The command line: every argument is checked before work begins, and a wrong one costs one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dropclust import experiments
from dropclust.core.spec import HELD_OUT_IMAGES, NOISES, PRECISIONS, RECIPES, TEST_IMAGES, RunSpec
from dropclust.service.cluster import ClusterError, RemoteCluster

if TYPE_CHECKING:
    from dropclust.core.compression import Choice
    from dropclust.core.mnist import Data
    from dropclust.service.files import Reading


_FILE_HELP = "a .safetensors, .npz, .onnx, .pt, .keras or .h5 file"


class _Parser(argparse.ArgumentParser):
    """Argparse, with its complaint on one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


class _ListMethods(argparse.Action):
    """An option that says what methods there are and ends, as --help does: nothing else needs to be given."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print them and end."""
        from dropclust.core.compression import METHODS

        for method in METHODS.values():
            print(f"{method.name}{' (control)' if method.control else ''}: {method.sentence} Source: {method.source}.")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        code: int | None = parsed.command(parsed)
        return code or 0
    except (ValueError, OSError, ArithmeticError, ClusterError) as error:
        print(f"dropclust: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ndropclust: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dropclust", description="Clustering Phenomena in Dropout, to touch.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    dashboard = commands.add_parser("dashboard", help="open the dashboard in a browser")
    dashboard.add_argument("--port", type=int, default=8501, help="port to serve on (default 8501)")
    dashboard.add_argument("--address", default="localhost", help="0.0.0.0 serves a class (default: this machine alone)")
    dashboard.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    dashboard.set_defaults(command=_dashboard)

    train = commands.add_parser("train", help="train a network on MNIST and write it to a file")
    _spec_arguments(train)
    train.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .safetensors, .npz, .onnx or .pt file")
    train.set_defaults(command=_train)

    compress = commands.add_parser("compress", help="make a layer of a network smaller and write the network to a file")
    compress.add_argument("network", type=Path, metavar="FILE", help=_FILE_HELP)
    compress.add_argument("--layer", type=int, default=1, help="which hidden layer (default 1)")
    wanted = compress.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--units", type=int, help="width wanted; for agreement the number of clusters")
    wanted.add_argument(
        "--tolerance",
        type=float,
        help="largest loss of held-out accuracy, 0.01 for a percentage point: as few units as keep it",
    )
    compress.add_argument("--method", default="paper", help="see --list-methods (default paper)")
    compress.add_argument("--seed", type=int, default=0, help="of clusterings and random clusters (default 0)")
    compress.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .safetensors, .npz, .onnx or .pt file")
    _reading_arguments(compress)
    compress.add_argument("--as-brought", action="store_true", help="the file written takes what the file read took")
    compress.add_argument("--card", action="store_true", help="write a model card (.md) beside it")
    compress.add_argument("--list-methods", action=_ListMethods, help="say what methods there are, and end")
    compress.set_defaults(command=_compress)

    evaluate = commands.add_parser("evaluate", help="measure a network's accuracy and cross-entropy on MNIST")
    evaluate.add_argument("network", type=Path, metavar="FILE", help=_FILE_HELP)
    _reading_arguments(evaluate)
    evaluate.set_defaults(command=_evaluate)

    inspect = commands.add_parser("inspect", help="say how a network's file is read: layers, order, input scale, activation")
    inspect.add_argument("network", type=Path, metavar="FILE", help=_FILE_HELP)
    _reading_arguments(inspect)
    inspect.set_defaults(command=_inspect)

    reproduce = commands.add_parser("reproduce", help="make the paper's tables and figures again, resuming what was begun")
    reproduce.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(experiments.NAMES)} (default: all)")
    reproduce.add_argument("--recipe", choices=RECIPES, default="modern")
    reproduce.add_argument("--seeds", type=int, default=20, help="seeds 0 to SEEDS - 1 (default 20)")
    reproduce.add_argument("--quick", action="store_true", help="a coarser grid and fewer examples")
    reproduce.add_argument(
        "--precision", choices=["auto", *PRECISIONS], default="auto",
        help="auto: float32 if quick, else what a short trial finds faster on this machine",
    )  # fmt: skip
    reproduce.add_argument("--workers", type=int, default=None, help="processes (default: one a core)")
    reproduce.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster to use instead, tls://host:port")
    reproduce.set_defaults(command=_reproduce)
    return parser


def _reading_arguments(parser: argparse.ArgumentParser) -> None:
    """What a file may leave open, and a person may know; the images it is proved on."""
    parser.set_defaults(folder=None)
    parser.add_argument("--input-scale", metavar="NAME", help="what the network takes, as inspect names it (default: a look)")
    parser.add_argument(
        "--activation", metavar="NAME", help="what stands between its layers, relu or tanh .. (default: a look)"
    )
    parser.add_argument(
        "--order", metavar="NAMES", help="its layers from the first to the last, fc1,fc2,fc3 (default: by shapes)"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="IDX files of other pictures of 28 x 28 (default: MNIST)")


def _read(parsed: argparse.Namespace) -> Reading:
    from dropclust.service.files import Choices, read

    choices = Choices(parsed.input_scale, parsed.activation, parsed.order)
    return read(parsed.network, choices, _data(parsed) if parsed.data else None)


def _data(parsed: argparse.Namespace) -> Data:
    from dropclust.core import mnist

    if parsed.data is None:
        return mnist.load()
    if parsed.folder is None:
        parsed.folder = mnist.load_folder(parsed.data)
    return parsed.folder  # type: ignore[no-any-return]


def _spec_arguments(parser: argparse.ArgumentParser) -> None:
    default = RunSpec()
    parser.add_argument("--hidden", type=int, nargs=3, default=default.hidden, metavar="UNITS", help="three layer widths")
    parser.add_argument(
        "--dropout", type=float, nargs="+", default=list(default.dropout), metavar="RATE",
        help="one rate for all hidden layers, or three",
    )  # fmt: skip
    parser.add_argument("--noise", choices=NOISES, default=default.noise)
    parser.add_argument("--recipe", choices=RECIPES, default=default.recipe)
    parser.add_argument("--precision", choices=PRECISIONS, default=default.precision)
    for name in ("batch_size", "examples", "train_size", "seed"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(default, name))


def _spec(parsed: argparse.Namespace) -> RunSpec:
    rates = parsed.dropout * 3 if len(parsed.dropout) == 1 else parsed.dropout
    return RunSpec(
        hidden=tuple(parsed.hidden), dropout=tuple(rates), noise=parsed.noise, batch_size=parsed.batch_size,
        examples=parsed.examples, train_size=parsed.train_size, recipe=parsed.recipe, seed=parsed.seed,
        precision=parsed.precision,
    )  # fmt: skip


def _dashboard(parsed: argparse.Namespace) -> int:
    from dropclust.service.dashboard import start

    return start(parsed.port, parsed.address, browser=not parsed.no_browser)


def _check_suffix(path: Path) -> None:
    from dropclust.service.files import SUFFIXES

    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"the suffix of a network's file must be one of {', '.join(SUFFIXES)}; got {path.suffix!r}")


def _train(parsed: argparse.Namespace) -> None:
    spec = _spec(parsed)
    from dropclust.service.files import save

    _check_suffix(parsed.out)
    from dropclust.core import mnist, training
    from dropclust.core.prediction import evaluate

    data, bar = mnist.load(), _Bar("training")
    [trained] = training.fit(
        [spec], data=data, on_step=bar.show, on_point=lambda _, point: bar.note(f"held-out accuracy {point.accuracy:.4f}")
    )
    bar.end()
    if trained.network is None:
        raise training.Diverged(f"the run diverged at step {trained.diverged_at}; a lower rate or wider layers may help")
    measured = evaluate(trained.network, data)
    save(trained.network, parsed.out, proof={"metrics": measured})
    print(f"{parsed.out}: {trained.network.n_parameters:,} parameters, {trained.steps:,} steps in {trained.seconds:.1f} s")
    _print(measured)


def _compress(parsed: argparse.Namespace) -> None:
    from dropclust.service.files import save

    _check_suffix(parsed.out)
    reading = _read(parsed)
    network = reading.network
    from dropclust.core.compression import METHODS, choose_units, compress
    from dropclust.service.proof import compression_proof, sentence

    data, units, chosen = _data(parsed), parsed.units, ""
    if units is None:
        choice = choose_units(network, parsed.layer, parsed.method, parsed.tolerance, parsed.seed, data)
        units, chosen = choice.units, _chosen(choice, METHODS[parsed.method].unit)
    found = compress(network, parsed.layer, units, parsed.method, parsed.seed, data)
    proof = compression_proof(network, found, data, reading.input_scale.name)
    input_scale = reading.input_scale if parsed.as_brought else None
    save(found.network, parsed.out, proof, input_scale)
    if parsed.card:
        from dropclust.service import atomic
        from dropclust.service.files.card import card

        text = card(found.network, parsed.out.name, sentence(proof), proof, input_scale)
        atomic.write(parsed.out.with_suffix(".md"), text.encode())
    for note in reading.notes:
        print(note)
    print(f"{chosen}{parsed.out}: {sentence(proof)}")


def _chosen(choice: Choice, unit: str) -> str:
    """The line that says which number was chosen and why."""
    kept = choice.accuracy >= choice.accuracy_before - choice.tolerance - 1e-12
    why = "the fewest found within" if kept else "all there are, for none came within"
    criteria = {"BIC": choice.bic_units, "Calinski-Harabasz": choice.calinski_harabasz_units}
    others = "".join(f"; {name} would take {units:,}" for name, units in criteria.items() if units is not None)
    return (
        f"{choice.units:,} {unit}, {why} {choice.tolerance:g} of the held-out accuracy {choice.accuracy_before:.4f} "
        f"({choice.accuracy:.4f}){others}\n"
    )


def _evaluate(parsed: argparse.Namespace) -> None:
    from dropclust.service.proof import sentence

    reading = _read(parsed)
    network, proof = reading.network, reading.proof
    from dropclust.core.prediction import evaluate

    print(f"{parsed.network}: hidden layers {', '.join(map(str, network.hidden))}; {network.n_parameters:,} parameters")
    if (proved := sentence(proof)) is not None:
        print(f"by its proof: {proved}")
    if not reading.is_ours or reading.input_scale.name != "pixels" or reading.activation != "relu":
        print(
            f"read as taking {reading.input_scale.words} ({reading.scale_reason}), with {reading.activation} "
            f"({reading.activation_reason}); order of layers: {reading.order_reason}"
        )
    for note in reading.notes:
        print(note)
    data = _data(parsed)
    _print(evaluate(network, data), len(data.test_x), len(data.held_x))


def _inspect(parsed: argparse.Namespace) -> None:
    from dropclust.findings.reading_file import read_file

    said = read_file(_read(parsed).report())
    print("\n".join([f"{parsed.network}:", *said.lines()]))


def _print(measured: dict[str, float], test: int = TEST_IMAGES, held_out: int = HELD_OUT_IMAGES) -> None:
    for part, name, n in (("test", "test", test), ("held_out", "held out", held_out)):
        accuracy = measured[f"{part}_accuracy"]
        print(
            f"{name:>9}: accuracy {accuracy:.4f} ({round((1 - accuracy) * n):,} of {n:,} wrong), "
            f"cross-entropy {measured[f'{part}_cross_entropy']:.4f} nats"
        )


def _reproduce(parsed: argparse.Namespace) -> None:
    from dropclust.experiments.experiment import Settings
    from dropclust.service import reproduce

    names = parsed.names or list(experiments.NAMES)
    for name in names:
        experiments.get(name)
    settings = Settings(parsed.recipe, parsed.seeds, parsed.quick, "" if parsed.precision == "auto" else parsed.precision)
    workers = parsed.workers if parsed.workers is not None else os.cpu_count() or 1
    if workers < 1:
        raise ValueError(f"workers must be a whole number of 1 or more; got {workers}")
    with ExitStack() as stack:
        if parsed.scheduler:
            cluster = RemoteCluster(parsed.scheduler)
            stack.callback(cluster.close)
            cluster.open(threading.Event())
            executor = cluster.client.get_executor()
        else:
            executor = stack.enter_context(reproduce.processes(workers))
        if parsed.precision == "auto" and not parsed.quick:
            settings = replace(settings, precision=reproduce.faster_precision(executor))
            print(f"training in {settings.precision}: so said a short trial of both precisions here", file=sys.stderr)
        bars: dict[str, _Bar] = {}

        def progress(name: str, done: int, total: int) -> None:
            bars.setdefault(name, _Bar(f"{name}, {settings.recipe}")).show(done / total)
            bars[name].note(f"{done} of {total} groups")
            if done == total:
                bars[name].end()

        for path in reproduce.reproduce(names, settings, executor, store=reproduce.default_store(), progress=progress):
            print(path)


class _Bar:
    """A progress bar on stderr: redrawn on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self._title, self._note, self._share = title, "", 0.0
        self._began, self._said = time.monotonic(), -1.0
        self._live = sys.stderr.isatty()

    def show(self, share: float) -> None:
        """Show the share done, 0 to 1."""
        self._share = share
        now = time.monotonic()
        if now - self._said < (0.1 if self._live else 10):
            return
        self._said = now
        self._draw(end="" if self._live else "\n")

    def note(self, text: str) -> None:
        """Say something beside the bar, from its next drawing on."""
        self._note = text

    def end(self) -> None:
        """Draw it full, once, and leave the line."""
        self._share = 1.0
        self._draw(end="\n")

    def _draw(self, end: str) -> None:
        spent = time.monotonic() - self._began
        left = f"{spent / self._share - spent:4.0f} s left" if 0 < self._share < 1 else f"{spent:4.0f} s"
        filled = round(30 * self._share)
        bar = "█" * filled + "·" * (30 - filled)
        text = f"{self._title} {bar} {self._share:4.0%} {left}  {self._note}"
        print(f"\r\x1b[2K{text}" if self._live else text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
