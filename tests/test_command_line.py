"""The command line as somebody types it: what it prints, and one line with exit code 2 for what is wrong."""

import argparse
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from dropclust import __main__ as command_line
from dropclust.core import mnist
from dropclust.core.compression import METHODS, choose_units
from dropclust.core.network import Network
from dropclust.service import files, proof
from tests.readme import readme_lines
from tests.service.files import zoo

ROOT = Path(__file__).resolve().parents[1]


def run(environment, *arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "dropclust", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def test_train_then_evaluate(tmp_path, subprocess_environment):
    path = tmp_path / "net.safetensors"
    small = ["--hidden", "20", "15", "12", "--dropout", "0.1", "--examples", "64000", "--seed", "3"]
    trained = run(subprocess_environment, "train", *small, "--out", path)
    assert trained.returncode == 0, trained.stderr
    assert "100%" in trained.stderr
    network = files.load(path)
    assert network.hidden == (20, 15, 12)
    assert network.spec.seed == 3
    assert network.spec.dropout == (0.1, 0.1, 0.1)
    evaluated = run(subprocess_environment, "evaluate", path)
    assert evaluated.returncode == 0, evaluated.stderr
    # What training printed at its end is what the file holds.
    last = trained.stdout.splitlines()[-2:]
    assert evaluated.stdout.splitlines()[-2:] == last
    assert 0.7 < float(re.search(r"accuracy (0\.\d+)", last[0])[1]) < 0.99


@pytest.fixture(scope="module")
def doubled(tmp_path_factory):
    """A file with a network in whose second layer of 24 each neuron stands twice."""
    stream = torch.Generator().manual_seed(0)
    widths = (784, 15, 12, 8, 10)
    weights = [torch.randn(a, b, generator=stream) * (2 / a) ** 0.5 for a, b in itertools.pairwise(widths)]
    biases = [torch.randn(b, generator=stream) * 0.3 for b in widths[1:]]
    twice = torch.arange(24) % 12
    weights[1], biases[1], weights[2] = weights[1][:, twice], biases[1][twice], weights[2][twice]
    path = tmp_path_factory.mktemp("networks") / "doubled.safetensors"
    files.save(Network(weights, biases), path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".onnx"])
def test_compress_then_evaluate(suffix, doubled, tmp_path, capsys):
    path = tmp_path / f"small{suffix}"
    wanted = ["--layer", "2", "--units", "12", "--method", "fold", "--seed", "3"]
    assert command_line.main(["compress", str(doubled), *wanted, "--out", str(path)]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path}: layer 2 of 24 units made 12 by fold (seed 3): test accuracy ")
    assert "change 0.0000 (95 % interval 0.0000 to 0.0000, 10000 images)" in line
    assert files.digest(files.load(doubled))[:12] in line
    network, facts = files.load_with_proof(path)
    assert network.hidden == (15, 12, 8)
    assert facts["method"] == "fold"
    assert facts["seed"] == 3
    assert command_line.main(["evaluate", str(path)]) == 0
    first, second, measured, _ = capsys.readouterr().out.splitlines()
    assert first == f"{path}: hidden layers 15, 12, 8; {network.n_parameters:,} parameters"
    assert second == f"by its proof: {line.removeprefix(f'{path}: ')}" == f"by its proof: {proof.sentence(facts)}"
    assert f"accuracy {facts['accuracy']:.4f} " in measured


def test_a_file_of_somebody_else_is_inspected_compressed_and_taken_home_as_it_was_brought(tmp_path, capsys):
    model = zoo.trained("tanh", "standardised")
    path, small = tmp_path / "theirs.pt", tmp_path / "small.onnx"
    torch.save({"model": model.state_dict(), "epoch": 3}, path)
    assert command_line.main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    for words in ("784-16-16-16-10 with tanh", "standardised", "found on held-out images", "left out: epoch", "[out, in]"):
        assert words in said
    assert command_line.main(["evaluate", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" +test: accuracy 0\.[89]\d{3} \([\d,]+ of 10,000 wrong\), cross-entropy .* nats", lines[-2])
    assert "standardised pixels" in lines[1]
    asked = ["--units", "16", "--method", "fold", "--as-brought", "--card", "--out", str(small)]
    assert command_line.main(["compress", str(path), *asked]) == 0
    assert files.read(small).input_scale.name == "standardised"
    assert "tanh" in small.with_suffix(".md").read_text()
    session = onnxruntime.InferenceSession(small.read_bytes(), providers=["CPUExecutionProvider"])
    given = zoo.GIVEN["standardised"](mnist.load().test_x[:100]).numpy()
    np.testing.assert_allclose(session.run(None, {"x": given})[0], zoo.logits(model, "standardised", 100), atol=1e-3)


def test_compress_to_a_tolerance(doubled, tmp_path, capsys):
    path = tmp_path / "small.npz"
    wanted = ["--layer", "2", "--tolerance", "0", "--method", "fold"]
    assert command_line.main(["compress", str(doubled), *wanted, "--out", str(path)]) == 0
    chosen, line = capsys.readouterr().out.splitlines()
    choice = choose_units(files.load(doubled), 2, "fold", 0.0)
    assert files.load(path).hidden == (15, choice.units, 8)
    assert chosen.startswith(f"{choice.units} units, the fewest found within 0 of the held-out accuracy ")
    assert chosen.endswith(
        f"; BIC would take {choice.bic_units}; Calinski-Harabasz would take {choice.calinski_harabasz_units}"
    )
    assert line.startswith(f"{path}: layer 2 of 24 units made {choice.units} by fold (seed 0): ")


def test_the_explorer_is_written_as_one_file(tmp_path, capsys):
    path = tmp_path / "explorer.html"
    assert command_line.main(["export-explorer", "--out", str(path)]) == 0
    assert path.stat().st_size < 2_000_000
    assert capsys.readouterr().out.startswith(f"{path}: ")
    assert "Does dropout turn neurons into copies?" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "line"), [(["--out", "explorer.txt"], "the suffix of the explorer's file must be .html; got '.txt'")]
)
def test_an_explorer_that_is_no_html_file_costs_one_line(arguments, line, capsys):
    assert command_line.main(["export-explorer", *arguments]) == 2
    assert line in capsys.readouterr().err


def test_the_methods_are_listed_with_sources_and_controls(capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["compress", "--list-methods"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.match(r"\w+", line)[0] for line in lines] == list(METHODS)
    for line, method in zip(lines, METHODS.values(), strict=True):
        assert method.sentence in line
        assert method.source in line
        assert ("(control)" in line) == method.control


def parsers(parser, words=()):
    """All parsers of commands below one, with the words that lead there."""
    yield " ".join(words), parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from parsers(below, (*words, word))


COMMANDS = dict(parsers(command_line._parser()))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_says_what_an_option_is_and_its_default(command):
    parser = COMMANDS[command]
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        text = parser._get_formatter()._expand_help(action)
        word = action.option_strings or action.metavar
        assert len(text) > 15, word
        if action.required and action.nargs != "*":
            assert "required" in text, word
        elif "required" not in text:
            assert "default" in text, word
            known = action.default if isinstance(action.default, (list, tuple)) else [action.default]
            if action.option_strings and action.nargs != 0 and action.default is not None:
                assert all(str(value) in text for value in known), word
        if action.type in (int, float):
            assert re.search(r"unit|share|image|seed|port|processes|layer|\d to [\d,]+|of ", text), word


def test_the_first_help_says_where_the_data_lie(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    assert "DROPCLUST_CACHE" in capsys.readouterr().out


def test_the_readmes_experiment_of_ones_own_runs(tmp_path, subprocess_environment):
    (tmp_path / "widths.py").write_text(readme_lines("class Widths"))
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "MNIST").symlink_to(ROOT / "cache" / "MNIST")
    words = ["reproduce", "widths.py", "--quick", "--seeds", "2", "--workers", "1"]
    done = run(subprocess_environment | {"DROPCLUST_CACHE": str(cache)}, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [path] = done.stdout.split()
    table = pd.read_csv(path)
    assert Path(path) == cache / "results" / "widths-modern-quick.csv"
    assert sorted(set(table["seed"])) == [0, 1]
    assert table["accuracy"].between(0.05, 1).all()
    conditions = json.loads(Path(path).with_suffix(".json").read_text())
    assert conditions["command"] == "python -m dropclust reproduce widths.py --recipe modern --seeds 2 --quick"


WRONG_COMPRESS = [
    (["--units", "0"], r"units must be a whole number from 1 to 24; got 0"),
    (["--units", "-1"], r"units must be a whole number from 1 to 24; got -1"),
    (["--units", "25"], r"units must be a whole number from 1 to 24; got 25"),
    (["--units", "2.5"], r"argument --units: invalid int value: '2.5'"),
    (["--units", "5", "--layer", "4"], r"layer must be a whole number from 1 to 3; got 4"),
    (["--units", "5", "--layer", "0"], r"layer must be a whole number from 1 to 3; got 0"),
    (["--units", "5", "--method", "squeeze"], r"method must be one of paper, .*, random; got 'squeeze'"),
    (["--units", "5", "--seed", "-1"], r"seed must be a whole number from 0 to 2,147,483,647; got -1"),
    (["--tolerance", "1.5"], r"tolerance must be a share from 0 to 1; got 1.5"),
    (["--tolerance", "nan"], r"tolerance must be a share from 0 to 1; got nan"),
    (["--tolerance", "0.1", "--method", "squeeze"], r"method must be one of paper, .*, random; got 'squeeze'"),
    (["--units", "5", "--tolerance", "0.01"], r"argument --tolerance: not allowed with argument --units"),
    ([], r"one of the arguments --units --tolerance is required"),
    (["--units", "5", "--out", "small.bin"], r"must be one of \.safetensors, \.npz, \.onnx, \.pt; got '\.bin'"),
    (["--units", "5", "--out", "small"], r"must be one of \.safetensors, \.npz, \.onnx, \.pt; got ''"),
    (["--units", "5", "--out", "nowhere/small.npz"], r"'nowhere/small\.npz' could not be written: No such file or directory"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG_COMPRESS)
def test_what_cannot_be_compressed_costs_one_line_and_exit_code_2(arguments, sentence, doubled, capsys, monkeypatch, tmp_path):
    layer = [] if "--layer" in arguments else ["--layer", "2"]
    out = [] if "--out" in arguments else ["--out", "small.npz"]
    refused(["compress", str(doubled), *layer, *arguments, *out], sentence, capsys, monkeypatch, tmp_path)


WRONG = [
    (["train", "--dropout", "1", "--out", "n.npz"], r"dropclust: dropout must be rates from 0 to 0.95; got 1.0"),
    (
        ["train", "--schedule", "5", "--out", "n.npz"],
        r"argument --schedule: a piece of schedule must be a step, a colon and one rate or three, such as 1250:0.5; got '5'",
    ),
    (["train", "--schedule", "5:.1", "4:.2", "--out", "n.npz"], r"schedule must go forward, .*; got 4 after 5"),
    (["train", "--dropout", "-0.1", "--out", "n.npz"], r"dropout must be rates from 0 to 0.95; got -0.1"),
    (["train", "--dropout", "abc", "--out", "n.npz"], r"argument --dropout: invalid float value: 'abc'"),
    (["train", "--dropout", ".1", ".2", "--out", "n.npz"], r"dropout must be three numbers, one a hidden layer"),
    (["train", "--hidden", "0", "5", "5", "--out", "n.npz"], r"hidden must be a whole number from 1 to 2,000; got 0"),
    (["train", "--hidden", "1000000", "5", "5", "--out", "n.npz"], r"hidden must be a whole number from 1 to 2,000"),
    (["train", "--noise", "loud", "--out", "n.npz"], r"argument --noise: invalid choice: 'loud'"),
    (["train", "--examples", "9999999", "--out", "n.npz"], r"examples must be a whole number"),
    (["train", "--hidden", "2000", "2000", "2000", "--out", "n.npz"], r"must take less than about 120 seconds"),
    (["train", "--out", "net.bin"], r"must be one of \.safetensors, \.npz, \.onnx, \.pt; got '\.bin'"),
    (["train"], r"the following arguments are required: --out"),
    (["compress", "n.npz", "--units", "5"], r"the following arguments are required: --out"),
    (["compress", "--units", "5", "--out", "small.npz"], r"the following arguments are required: FILE"),
    (["compress", "nothing.npz", "--units", "5", "--out", "small.npz"], r"nothing\.npz"),
    (["compress", "net.tflite", "--units", "5", "--out", "small.npz"], r"must be a file of one of these kinds to be read"),
    (["compress", "net.pkl", "--units", "5", "--out", "small.npz"], r"may be a pickle"),
    (["inspect", "net.pt"], r"'net\.pt' could not be read: No such file"),
    (["evaluate", "nothing.npz"], r"nothing\.npz"),
    (["reproduce", "table9"], r"an experiment must be one of .*; got 'table9'"),
    (["reproduce", "table2", "--seeds", "0"], r"seeds must be a whole number from 1 to 100; got 0"),
    (["reproduce", "table2", "--seeds", "19"], r"seeds must be 20 or more, for the table table2-modern has 20, or --replace"),
    (["reproduce", "mine.py"], r"the file of an experiment must be there; got 'mine.py'"),
    (["reproduce", "table2", "--workers", "0"], r"workers must be a whole number of 1 or more; got 0"),
    (["reproduce", "table2", "--scheduler", "tcp://127.0.0.1:1"], r"tls://"),
    (["dashboard", "--port", "0"], r"port must be a whole number from 1 to 65535; got 0"),
    ([], r"required: COMMAND"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_what_is_wrong_costs_one_line_and_exit_code_2(arguments, sentence, capsys, monkeypatch, tmp_path):
    refused(arguments, sentence, capsys, monkeypatch, tmp_path)


def refused(arguments, sentence, capsys, monkeypatch, tmp_path):
    """One line on stderr, exit code 2, nothing printed and nothing written."""
    monkeypatch.chdir(tmp_path)
    try:
        code = command_line.main(arguments)
    except SystemExit as error:  # argparse ends by itself
        code = error.code
    said = capsys.readouterr()
    assert code == 2
    assert re.search(sentence, said.err), said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_named(capsys):
    import socket

    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        assert command_line.main(["dashboard", "--port", str(taken.getsockname()[1])]) == 2
    assert "port must be one that is free on localhost" in capsys.readouterr().err
