"""The command line as somebody types it: what it prints, and one line with exit code 2 for what is wrong."""

import re
import subprocess
import sys

import pytest

from dropclust import __main__ as command_line
from dropclust.service import export


def run(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "dropclust", *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )


def test_train_then_evaluate(tmp_path, subprocess_environment):
    path = tmp_path / "net.safetensors"
    small = ["--hidden", "20", "15", "12", "--dropout", "0.1", "--examples", "64000", "--seed", "3"]
    trained = run(subprocess_environment, "train", *small, "--out", path)
    assert trained.returncode == 0, trained.stderr
    assert "100%" in trained.stderr
    network = export.load(path)
    assert network.hidden == (20, 15, 12)
    assert network.spec.seed == 3
    assert network.spec.dropout == (0.1, 0.1, 0.1)
    evaluated = run(subprocess_environment, "evaluate", path)
    assert evaluated.returncode == 0, evaluated.stderr
    # What training printed at its end is what the file holds.
    last = trained.stdout.splitlines()[-2:]
    assert evaluated.stdout.splitlines()[-2:] == last
    assert 0.7 < float(re.search(r"accuracy (0\.\d+)", last[0])[1]) < 0.99


WRONG = [
    (["train", "--dropout", "1", "--out", "n.npz"], r"dropclust: dropout must be rates from 0 to 0.95; got 1.0"),
    (["train", "--dropout", "-0.1", "--out", "n.npz"], r"dropout must be rates from 0 to 0.95; got -0.1"),
    (["train", "--dropout", "abc", "--out", "n.npz"], r"argument --dropout: invalid float value: 'abc'"),
    (["train", "--dropout", ".1", ".2", "--out", "n.npz"], r"dropout must be three numbers, one a hidden layer"),
    (["train", "--hidden", "0", "5", "5", "--out", "n.npz"], r"hidden must be a whole number from 1 to 2,000; got 0"),
    (["train", "--hidden", "1000000", "5", "5", "--out", "n.npz"], r"hidden must be a whole number from 1 to 2,000"),
    (["train", "--noise", "loud", "--out", "n.npz"], r"argument --noise: invalid choice: 'loud'"),
    (["train", "--examples", "9999999", "--out", "n.npz"], r"examples must be a whole number"),
    (["train", "--hidden", "2000", "2000", "2000", "--out", "n.npz"], r"must take less than about 120 seconds"),
    (["train", "--out", "net.pt"], r"must be one of \.safetensors, \.npz, \.onnx; got '\.pt'"),
    (["train"], r"the following arguments are required: --out"),
    (["evaluate", "nothing.npz"], r"nothing\.npz"),
    (["reproduce", "table9"], r"an experiment must be one of .*; got 'table9'"),
    (["reproduce", "table2", "--seeds", "0"], r"seeds must be a whole number from 1 to 100; got 0"),
    (["reproduce", "table2", "--workers", "0"], r"workers must be a whole number of 1 or more; got 0"),
    (["reproduce", "table2", "--scheduler", "tcp://127.0.0.1:1"], r"tls://"),
    (["dashboard", "--port", "0"], r"port must be a whole number from 1 to 65535; got 0"),
    ([], r"required: COMMAND"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_what_is_wrong_costs_one_line_and_exit_code_2(arguments, sentence, capsys, monkeypatch, tmp_path):
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
