"""The command line: every argument is checked before work begins, and a wrong one costs one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dropclust import experiments
from dropclust.core.device import DEVICES
from dropclust.core.paths import cache_folder
from dropclust.core.spec import HELD_OUT_IMAGES, LIMITS, MAIN_RECIPES, NOISES, PRECISIONS, RECIPES, TEST_IMAGES, RunSpec
from dropclust.experiments import sensitivity
from dropclust.experiments.claim import Verdict
from dropclust.findings import verdicts
from dropclust.service.cluster import ClusterError, RemoteCluster

if TYPE_CHECKING:
    from dropclust.core.methods import Choice
    from dropclust.core.mnist import Data
    from dropclust.service.files import Reading

_DEVICE_HELP = "auto: DROPCLUST_DEVICE, or a GPU where there is one and it pays (default auto)"
_RECIPE_HELP = f"{' or '.join(MAIN_RECIPES)} (default {RunSpec().recipe}); or one choice changed: " + ", ".join(
    name for name in RECIPES if name not in MAIN_RECIPES
)
_FILE_HELP = "a .safetensors, .npz, .onnx, .pt, .keras or .h5 file (required)"


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
        from dropclust.core.methods import METHODS

        for method in METHODS.values():
            print(f"{method.name}{' (control)' if method.control else ''}: {method.sentence} Source: {method.source}.")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    Examples
    --------
    >>> main(["evaluate", "net.pt"])  # one line on stderr says why
    2
    """
    parsed = _parser().parse_args(arguments)
    try:
        code: int | None = parsed.command(parsed)
        return code or 0
    except (ValueError, OSError, ArithmeticError, ClusterError) as error:
        print(f"dropclust: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print("\ndropclust: stopped", file=sys.stderr)
        return 143 if isinstance(stop, _Terminated) else 130


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which Python by itself obeys at once: processes that were started would stay."""


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does."""

    def end(number: int, frame: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():  # others cannot hear signals
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dropclust", description="Clustering Phenomena in Dropout, to touch.",
        epilog=f"Networks and tables lie in {cache_folder()}; the environment variable DROPCLUST_CACHE names another folder.",
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    from dropclust.service import bounds

    dashboard = commands.add_parser(
        "dashboard",
        help="open the dashboard in a browser",
        epilog=f"How much is taken on, by environment variables, with their defaults:\n{bounds.listed()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    dashboard.add_argument("--port", type=int, default=8501, help="port to serve on, 1 to 65535 (default %(default)s)")
    dashboard.add_argument(
        "--address", default="localhost", help="0.0.0.0 serves a class (default %(default)s: this machine alone)"
    )
    dashboard.add_argument("--no-browser", action="store_true", help="open no browser window (default: open one)")
    dashboard.add_argument(
        "--base-path", default="", metavar="PATH", help="path below which a reverse proxy passes it on (default: none)"
    )
    dashboard.add_argument(
        "--host", action="append", default=[], metavar="NAME", dest="hosts",
        help="a further name under which browsers reach it, such as the reverse proxy's; on localhost no other is answered "
        "(may be repeated, default: none)",
    )  # fmt: skip
    dashboard.add_argument(
        "--framed", action="store_true", help="takes files in frames of other sites' pages too, which needs https (default: no)"
    )
    dashboard.set_defaults(command=_dashboard)

    train = commands.add_parser("train", help="train a network on MNIST and write it to a file")
    _spec_arguments(train)
    _out_argument(train)
    train.add_argument("--device", choices=DEVICES, default="auto", help=_DEVICE_HELP)
    train.set_defaults(command=_train)

    compress = commands.add_parser("compress", help="make a layer of a network smaller and write the network to a file")
    _network_argument(compress)
    compress.add_argument("--layer", type=int, default=1, help="which hidden layer, 1 the first (default %(default)s)")
    wanted = compress.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--units", type=int, help="units wanted, for agreement clusters (this or --tolerance is required)")
    wanted.add_argument(
        "--tolerance", type=float,
        help="as few units as lose at most this share of held-out accuracy, 0.01 for a percentage point "
        "(this or --units is required)",
    )  # fmt: skip
    compress.add_argument("--method", default="paper", help="see --list-methods (default %(default)s)")
    compress.add_argument("--seed", type=int, default=0, help="of clusterings and random clusters (default %(default)s)")
    _out_argument(compress)
    _reading_arguments(compress)
    compress.add_argument(
        "--as-brought", action="store_true", help="the file written takes what the file read took (default: pixels)"
    )
    compress.add_argument("--card", action="store_true", help="write a model card (.md) beside it (default: none)")
    compress.add_argument("--list-methods", action=_ListMethods, help="say what methods there are, and end (default: compress)")
    compress.set_defaults(command=_compress)

    evaluate = commands.add_parser("evaluate", help="measure a network's accuracy and cross-entropy (nats) on MNIST")
    _network_argument(evaluate)
    _reading_arguments(evaluate)
    evaluate.set_defaults(command=_evaluate)

    inspect = commands.add_parser("inspect", help="say how a network's file is read: layers, order, input scale, activation")
    _network_argument(inspect)
    _reading_arguments(inspect)
    inspect.set_defaults(command=_inspect)

    reproduce = commands.add_parser("reproduce", help="make the paper's tables and figures again, resuming what was begun")
    reproduce.add_argument(
        "names", nargs="*", metavar="NAME",
        help=f"any of {', '.join(experiments.NAMES)}, or a Python file with an EXPERIMENT of your own (default: all of those)",
    )  # fmt: skip
    reproduce.add_argument(
        "--recipe", action="append", choices=RECIPES, metavar="NAME", help=f"may be given several times: {_RECIPE_HELP}"
    )
    reproduce.add_argument("--seeds", type=int, default=20, help="how many seeds, 1 to 100 (default %(default)s)")
    reproduce.add_argument(
        "--first-seed", type=int, default=0, help="the first of them (default %(default)s); others than 0 get tables beside"
    )
    reproduce.add_argument("--quick", action="store_true", help="a coarser grid and fewer examples (default: the full grid)")
    reproduce.add_argument(
        "--precision", choices=["auto", *PRECISIONS], default="auto",
        help="(default %(default)s: float32 if quick, else what a short trial finds faster on this machine)",
    )  # fmt: skip
    reproduce.add_argument("--workers", type=int, default=None, help="processes to measure in (default: one a core)")
    reproduce.add_argument("--device", choices=DEVICES, default="auto", help=_DEVICE_HELP)
    reproduce.add_argument(
        "--only", action="append", default=[], metavar="TEXT",
        help=f"with {sensitivity.NAME}: the variants whose recipe or name has this; may be given several times (default: all)",
    )  # fmt: skip
    reproduce.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask cluster to use instead, tls://host:port (default: this machine alone)"
    )
    reproduce.add_argument(
        "--replace", action="store_true", help="replace a table of more seeds too (default: refuse to, before training)"
    )
    reproduce.set_defaults(command=_reproduce)
    explorer = commands.add_parser(
        "export-explorer", help="write the explorer with its tour as one HTML file that needs no server"
    )
    explorer.add_argument("--out", type=Path, required=True, metavar="FILE", help="an .html file to write (required)")
    explorer.add_argument("--recipe", choices=MAIN_RECIPES, default=RunSpec().recipe, help="(default %(default)s)")
    explorer.set_defaults(command=_export_explorer)
    _claims_arguments(commands.add_parser("claims", help="say what became of every claim of the paper, what failed first"))
    return parser


def _network_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Path, metavar="FILE", help=_FILE_HELP)


def _out_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a .safetensors, .npz, .onnx or .pt file to write (required)"
    )


_RUN_HELP = {
    "batch_size": "images a gradient step",
    "examples": "images shown in all, repeats counted",
    "train_size": "different images to learn from, drawn by the seed",
    "seed": "of initial weights, order of the images and noise",
}


def _claims_arguments(claims: argparse.ArgumentParser) -> None:
    claims.add_argument("--recipe", choices=MAIN_RECIPES, help="under one recipe alone (default: both)")
    claims.add_argument(
        "--verdict", choices=[verdict.name.lower().replace("_", "-") for verdict in Verdict], action="append", default=[],
        help="only the claims with this verdict; may be given several times (default: all)",
    )  # fmt: skip
    claims.add_argument(
        "--check", action="store_true",
        help="exit with 1 where what is written down does not follow from the tables (default: print the claims)",
    )  # fmt: skip
    claims.add_argument("--write", action="store_true", help="write the verdicts down beside the tables (default: print them)")
    claims.add_argument("--readme", action="store_true", help="write README's findings from the tables (default: print them)")
    claims.add_argument("--report", type=Path, metavar="FILE", help="write a report of one HTML file, to print (default: none)")
    claims.set_defaults(command=_claims)


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
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="IDX files, or one .npz, of other pictures of 28 x 28 (default: MNIST)"
    )


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
    parser.add_argument(
        "--hidden", type=int, nargs=3, default=default.hidden, metavar="UNITS",
        help=f"units of the three hidden layers (default {' '.join(map(str, default.hidden))})",
    )  # fmt: skip
    parser.add_argument(
        "--dropout", type=float, nargs="+", default=list(default.dropout), metavar="RATE",
        help="share of units dropped, 0 to 0.95: one rate for all hidden layers, or three "
        f"(default {' '.join(map(str, default.dropout))})",
    )  # fmt: skip
    parser.add_argument("--noise", choices=NOISES, default=default.noise, help="how units are dropped (default %(default)s)")
    parser.add_argument("--recipe", choices=RECIPES, default=default.recipe, metavar="NAME", help=_RECIPE_HELP)
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=default.precision, help="of the products in training (default %(default)s)"
    )
    for name, what in _RUN_HELP.items():
        low, high = map(int, LIMITS[name])
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=getattr(default, name),
            help=f"{what}, {low:,} to {high:,} (default %(default)s)",
        )  # fmt: skip
    parser.add_argument(
        "--schedule", type=_piece, nargs="+", default=[], metavar="STEP:RATE",
        help="rates that change while it trains: from which step on, and one rate or three with commas between, "
        "such as 1250:0.5 or 1250:0,0.5,0.5 (default: none)",
    )  # fmt: skip
    parser.add_argument("--subset-seed", type=int, help="chooses the images, where they are not all (default: the seed does)")


def _piece(text: str) -> tuple[int, tuple[float, ...]]:
    """A piece of a schedule as it is typed."""
    step, _, rates = text.partition(":")
    try:
        values = [float(rate) for rate in rates.split(",")]
        return int(step), tuple(values * 3 if len(values) == 1 else values)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a piece of schedule must be a step, a colon and one rate or three, such as 1250:0.5; got {text!r}"
        ) from None


def _spec(parsed: argparse.Namespace) -> RunSpec:
    rates = parsed.dropout * 3 if len(parsed.dropout) == 1 else parsed.dropout
    return RunSpec(
        hidden=tuple(parsed.hidden), dropout=tuple(rates), noise=parsed.noise, batch_size=parsed.batch_size,
        examples=parsed.examples, train_size=parsed.train_size, recipe=parsed.recipe, seed=parsed.seed,
        precision=parsed.precision, subset_seed=parsed.subset_seed, schedule=tuple(parsed.schedule),
    )  # fmt: skip


def _dashboard(parsed: argparse.Namespace) -> int:
    from dropclust.service.dashboard import start

    return start(parsed.port, parsed.address, not parsed.no_browser, parsed.base_path, parsed.hosts, parsed.framed)


def _export_explorer(parsed: argparse.Namespace) -> None:
    if parsed.out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"the suffix of the explorer's file must be .html; got {parsed.out.suffix!r}")
    from dropclust.ui.explorer.export import export

    export(parsed.out, parsed.recipe)
    print(f"{parsed.out}: {parsed.out.stat().st_size / 1e6:.2f} MB, opens in any browser without a network")


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
        [spec], data=data, on_step=bar.show, device=parsed.device,
        on_point=lambda _, point: bar.note(f"held-out accuracy {point.accuracy:.4f}"),
    )  # fmt: skip
    bar.end()
    if trained.network is None:
        raise training.Diverged(f"the run diverged at step {trained.diverged_at}; a lower rate or wider layers may help")
    measured = evaluate(trained.network, data)
    save(trained.network, parsed.out, proof={"metrics": measured})
    took = f"{trained.steps:,} steps in {trained.seconds:.1f} s on {trained.device}"
    print(f"{parsed.out}: {trained.network.n_parameters:,} parameters, {took}")
    _print(measured)


def _compress(parsed: argparse.Namespace) -> None:
    from dropclust.service.files import save

    _check_suffix(parsed.out)
    reading = _read(parsed)
    network = reading.network
    from dropclust.core.compression import choose_units, compress
    from dropclust.core.methods import METHODS
    from dropclust.service.proof import compression_proof, sentence

    data, units, chosen = _data(parsed), parsed.units, ""
    if network.outputs != data.classes:
        raise ValueError(f"a proof needs an output for each of the {data.classes} labels; the network has {network.outputs}")
    if units is None:
        choice = choose_units(network, parsed.layer, parsed.method, parsed.tolerance, parsed.seed, data)
        units, chosen = choice.units, _chosen(choice, METHODS[parsed.method].unit)
    found = compress(network, parsed.layer, units, parsed.method, parsed.seed, data)
    proof = compression_proof(
        network, found, data, reading.input_scale.name, "MNIST" if parsed.data is None else parsed.data.name
    )
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
    _print(evaluate(network, data), len(data.test), len(data.held))


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
    from dropclust.experiments import table2
    from dropclust.experiments.experiment import Settings
    from dropclust.service import drawn, own, reproduce
    from dropclust.service.pool import processes
    from dropclust.service.store import open_store

    names = list(dict.fromkeys(parsed.names)) or list(experiments.NAMES)
    alone = names == [sensitivity.NAME]
    if parsed.only and not alone:
        raise ValueError(f"--only is for {sensitivity.NAME} alone; got {', '.join(names)}")
    variants = sensitivity.chosen(parsed.only)
    precision = "" if parsed.precision == "auto" else parsed.precision
    settings = [
        Settings(recipe, parsed.seeds, parsed.quick, precision, parsed.first_seed)
        for recipe in dict.fromkeys(parsed.recipe or ["modern"])
    ]
    for one in [] if alone else settings:
        reproduce.prepare(names, one, replace=parsed.replace)
    if parsed.workers is not None and parsed.workers < 1:
        raise ValueError(f"workers must be a whole number of 1 or more; got {parsed.workers}")
    device = parsed.device
    with ExitStack() as stack:
        stack.enter_context(_terminated_in_order())
        if parsed.scheduler:
            cluster = RemoteCluster(parsed.scheduler)
            stack.callback(cluster.close)
            cluster.open(threading.Event())
            for file in own.files(names):
                cluster.client.upload_file(str(file))
            executor = cluster.client.get_executor()
        else:
            from dropclust.core.device import choose

            device = choose(parsed.device, math.inf).type
            # Beside a GPU one core is this process's own: a GPU that waits for it costs more than a core.
            workers = parsed.workers or max(1, (os.cpu_count() or 1) - (device == "cuda"))
            executor = stack.enter_context(processes(workers, device))
        if alone:
            from dropclust.service import sensitivity as measured

            bar = _Bar(sensitivity.NAME)
            print(measured.measure(variants, executor, progress=lambda done, total: bar.show(done / total), device=device))
            return
        if parsed.precision == "auto" and not parsed.quick and device != "cuda":
            precision = reproduce.faster_precision(executor)
            settings = [replace(one, precision=precision) for one in settings]
            print(f"training in {precision}: so said a short trial of both precisions here", file=sys.stderr)
        bars: dict[str, _Bar] = {}

        def progress(name: str, done: int, total: int) -> None:
            bars.setdefault(name, _Bar(name)).show(done / total)
            bars[name].note(f"{done} of {total} groups")
            if done == total:
                bars[name].end()

        written = reproduce.reproduce(names, settings, executor, None, open_store(), progress, parsed.replace, device)
    for one in settings:  # what the explorer shows of them
        if table2.EXPERIMENT.name in names and not one.quick and not one.first_seed:
            written += drawn.make(one.recipe, open_store())
    print(*written, sep="\n")
    told = [name for name in names if name in experiments.NAMES]
    for one in settings:
        for finding in verdicts.judged(told, one.recipe, one.first_seed, one.quick):
            print(f"{finding.claim.statement} {finding.sentence}")


def _claims(parsed: argparse.Namespace) -> int:
    from dropclust.service import verdicts as written

    rows = verdicts.rows(with_variations=False)
    if parsed.write or parsed.readme or parsed.report or parsed.check:
        if parsed.write:
            print(written.write(rows))
        if parsed.readme:
            print(written.write_readme(rows))
        if parsed.report:
            from dropclust.ui import report

            print(written.write_text(parsed.report, report.html(rows)))
        differing = written.differences(rows) if parsed.check else []
        for sentence in differing:
            print(sentence)
        return int(bool(differing))
    recipes = [parsed.recipe] if parsed.recipe else list(MAIN_RECIPES)
    print(verdicts.summary(rows, recipes))
    wanted = {Verdict[name.upper().replace("-", "_")] for name in parsed.verdict} or set(Verdict)
    for row in verdicts.worst_first(verdicts.chosen(rows, recipes, wanted)):
        print(f"\n{row.claim.key}\n  {row.claim.statement}")
        for recipe, finding in row.findings.items():
            print(f"  {verdicts.recipe_name(recipe)}: {finding.brief}")
    return 0


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
