"""The Compress page with good files and bad ones."""

import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from dropclust.core import compression
from dropclust.core.network import Network
from dropclust.core.spec import RunSpec
from dropclust.experiments import table2
from dropclust.experiments import table3 as experiment
from dropclust.findings import compressing as findings
from dropclust.findings import table3
from dropclust.service import files, tables
from dropclust.service.plain import Plain
from dropclust.service.shared import forget
from dropclust.service.store import Store
from dropclust.service.stored import Stored
from dropclust.ui import compress, compressing, live
from tests.findings.test_compressing import made
from tests.findings.test_table3 import table
from tests.service.files import zoo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder with Table 3, images and one run of 30, 20 and 15 units."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "MNIST").symlink_to(ROOT / "cache" / "MNIST")
    conditions = {"command": "python -m dropclust reproduce table3"}
    tables.write(tmp_path / "results", "table3-modern", table(3), conditions)
    curve = table(2, widths=(700,), units=experiment.CURVE_UNITS)
    tables.write(tmp_path / "results", "table3-curve-modern", curve, conditions)
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()
    store = Store(tmp_path / "runs")
    monkeypatch.setattr(live, "store", lambda: store)
    store.put(stored())
    return tmp_path


def stored(hidden=(30, 20, 15), seed=0) -> Stored:
    network = made(hidden, seed)
    spec = RunSpec(hidden=hidden, seed=seed)
    return Stored(
        spec, tuple(w.numpy() for w in network.weights), tuple(b.numpy() for b in network.biases), [], {}, "done", 3, 1.5,
        "2026-01-01T00:00:00+00:00", {"python": "3"},
    )  # fmt: skip


def source(network: Network) -> compressing.Source:
    return compressing.Source.of(Plain.of(network), "net.npz", "")


def open_page(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "compress.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def said(app: AppTest) -> str:
    assert not app.exception, app.exception
    kinds = (app.markdown, app.caption, app.warning, app.error, app.info, app.success)
    return " ".join(element.value for kind in kinds for element in kind)


def opened(app: AppTest) -> None:
    """Open the numbers behind what was lost and gained, under which the command stands."""
    app.session_state["compressed-numbers"] = True
    app.run()


def test_the_page_shows_table_3_and_makes_a_network_smaller(cache):
    app = open_page()
    app.session_state["table-3-again"] = True
    app.run()
    text = said(app)
    assert "700 to 177 units, 3 seeds." in text
    assert "30 neurons become 12" in text
    found = compression.compress(made((30, 20, 15)), 1, 12, "paper", 0)
    assert f"{found.network.n_parameters:,}" in [metric.value for metric in app.metric]
    assert "Test image 0 shows a 7." in text
    assert "numbers tried that lose at most 1 point" in text
    assert not app.error
    assert not app.warning
    assert len(app.get("download_button")) >= len(files.SUFFIXES)


def test_the_address_decides_what_is_shown(cache):
    live.store().put(stored((40, 20, 15), seed=3))
    key = RunSpec(hidden=(40, 20, 15), seed=3).key
    asked = {"compressed_layer": "2", "units": "5", "method": "neuron_merging", "kmeans_seed": "7"}
    app = open_page(run=key, image="5", tolerance="2.0", **asked)
    text = said(app)
    assert "20 neurons become 5" in text
    assert compression.METHODS["neuron_merging"].sentence in text
    assert "Test image 5 shows a 1." in text
    assert "at most 2 points" in text
    assert not app.warning


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("units", "31", "Units left must be from 1 to 30; the address gave '31'. Shown instead: 12."),
    ("units", "0", "Units left must be from 1 to 30; the address gave '0'. Shown instead: 12."),
    ("compressed_layer", "4", "Hidden layer must be one of 1, 2, 3; the address gave '4'. Shown instead: 1."),
    ("method", "magic", "Method must be one of the paper's merging, merge and add up,"),
    ("kmeans_seed", "-1", "Seed must be from 0 to 2,147,483,647; the address gave '-1'. Shown instead: 0."),
    ("image", "10000", "Test image must be from 0 to 9,999; the address gave '10000'. Shown instead: 0."),
])  # fmt: skip
def test_a_wrong_address_costs_one_sentence(cache, name, value, sentence):
    app = open_page(**{name: value})
    [warning] = [warning.value for warning in app.warning]
    assert warning.startswith(sentence)
    assert "30 neurons become 12" in said(app)


def test_another_width_has_its_own_default_and_keeps_what_was_chosen(cache):
    app = open_page()
    app.session_state["compressed_layer"] = 2
    assert "20 neurons become 8" in said(app.run())
    chosen = open_page(units="5")
    chosen.session_state["compressed_layer"] = 2
    assert "20 neurons become 5" in said(chosen.run())
    many = open_page(units="25")
    assert not many.warning
    many.session_state["compressed_layer"] = 2
    assert "Units left must be from 1 to 20; the address gave '25'. Shown instead: 8." in said(many.run())
    assert "20 neurons become 8" in said(many)


def test_the_fewest_units_are_one_click_away(cache):
    app = open_page(method="fold")
    [button] = [button for button in app.button if button.label.startswith("Keep ")]
    units = int(button.label.split()[1])
    wanted = compression.choose_units(made((30, 20, 15)), 1, "fold", 0.01, 0, units_list=findings.grid(30))
    assert units == wanted.units
    loss = f"{100 * (wanted.accuracy - wanted.accuracy_before):+.2f} points"
    assert f"{loss} on the held-out images, by which they are chosen." in said(app)
    button.click().run()
    assert f"30 neurons become {units}" in said(app)
    shown = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    assert shown["Neurons left"][0] == f"{units} of 30"
    assert shown["Held-out accuracy"] == (f"{wanted.accuracy:.4f}", loss)
    proof = compressing.compressed(source(made((30, 20, 15))), 1, units, "fold", 0).proof
    assert shown["Test accuracy"] == (f"{proof['accuracy']:.4f}", f"{100 * proof['change']['mean']:+.2f} points")


def test_what_loses_more_than_is_allowed_is_said_at_once_and_what_does_not_is_not(cache):
    shipped = Store(ROOT / "cache" / "runs").get(table2.shown_spec(0.5).key)
    live.store().put(shipped)
    app = open_page(run=shipped.key, units="20", tolerance="0.5")
    [kept] = [button.label for button in app.button if button.label.startswith("Keep ")]
    assert f" points, and you allow 0.5 (set below): {kept[:1].lower()}{kept[1:]}." in said(app)
    assert "you allow" not in said(open_page(run=shipped.key, units="100"))


def test_while_it_waits_the_page_says_how_many_neurons_there_are(cache, tasks):
    tasks.held = {"smaller", "chosen_units"}
    assert "Layer 1 has 30 neurons. When some act alike, one can do the work of several" in said(open_page())


def test_what_is_kept_of_agreement_are_units(cache):
    app = open_page(method="agreement")
    [button] = [button for button in app.button if button.label.startswith("Keep ")]
    button.click().run()
    left = button.label.split()[1]
    assert f"30 neurons become {left}." in said(app)
    assert ("Neurons left", f"{left} of 30") in [(metric.label, metric.value) for metric in app.metric]
    small = compression.compress(made((30, 20, 15)), 1, app.slider[0].value, "agreement", 0)
    assert str(small.network.hidden[0]) == left
    opened(app)
    assert any(f"--units {app.slider[0].value} --method agreement" in code.value for code in app.code)


def test_methods_are_compared_at_equal_width(cache):
    network = made((30, 20, 15))
    app = open_page(units="20", method="fold")

    def agreement(wanted: int) -> compression.Compressed:
        return compression.side_by_side(network, 1, [wanted], ["agreement"])["agreement", wanted]

    app.session_state["method"] = "agreement"
    twenty = agreement(20)
    left = twenty.network.hidden[0]
    assert f"30 neurons become {left}." in said(app.run())
    assert app.slider[0].value == twenty.units != left
    app.session_state["method"] = "prune"
    assert f"30 neurons become {left}." in said(app.run())
    assert app.slider[0].value == left
    assert f"30 neurons become {agreement(12).network.hidden[0]}." in said(open_page(method="agreement"))


def test_the_width_of_another_layer_is_not_carried_over(cache):
    app = open_page(method="agreement")
    app.session_state["compressed_layer"], app.session_state["method"] = 2, "prune"
    assert "20 neurons become 8." in said(app.run())


def test_the_next_difference_is_one_click_away(cache):
    app = open_page(units="3")
    [button] = [button for button in app.button if button.label == "Next difference"]
    button.click().run()
    reads = [text for text in said(app).split("Test image ")[1:] if "shows a" in text]
    before, after = reads[0].split("says ")[1][0], reads[0].split("smaller network ")[1][0]
    assert before != after


def test_a_wide_layer_waits_to_be_asked_for_its_curve(cache):
    live.store().put(stored((compressing.AUTOMATIC + 1, 5, 5), seed=1))
    key = RunSpec(hidden=(compressing.AUTOMATIC + 1, 5, 5), seed=1).key
    app = open_page(run=key, method="prune", units="4")
    assert "numbers tried that lose" not in said(app)
    [button] = [button for button in app.button if button.label == "Draw accuracy against units"]
    button.click().run()
    assert "On the held-out images" in said(app)
    assert "On the held-out images" in said(app.run())


def test_a_file_is_made_smaller_and_goes_home_with_its_proof(cache, data):
    network = made((25, 12))
    app = open_page(units="9", method="merge and refit")
    app.file_uploader[0].upload("mine.npz", files.to_bytes(network, ".npz"), "application/octet-stream").run()
    text = said(app)
    assert "Your file: hidden layers 25 - 12, " in text
    assert "25 neurons become 9" in text
    found = compression.compress(network, 1, 9, "least_squares", 0)
    proof = compressing.compressed(source(network), 1, 9, "least_squares", 0).proof
    assert proof["original_sha256"] == files.digest(network)
    assert f"{found.network.n_parameters:,}" in [metric.value for metric in app.metric]
    again = "python -m dropclust compress mine.npz --layer 1 --units 9 --method least_squares"
    opened(app)
    assert any(again in code.value for code in app.code)


def test_a_file_of_somebody_else_says_how_it_was_read_before_it_is_made_smaller(cache):
    model = zoo.trained("tanh", "standardised")
    app = open_page(units="8", method="merge and refit")
    app.file_uploader[0].upload("theirs.pt", zoo.saved(model.state_dict()), "application/octet-stream").run()
    text = said(app)
    assert "A perceptron 784-16-16-16-10 with tanh and " in text
    assert "standardised pixels" in text
    assert "found on held-out images" in text
    assert any("0.weight" in str(table.value.iloc[0]["tensors"]) for table in app.table if "tensors" in table.value)
    assert "16 neurons become 8" in text
    assert not app.error
    [methods] = [choice for choice in app.get("button_group") if choice.label == "Method"]
    assert table3.NAMES["neuron_merging"] not in [option.content for option in methods.proto.options]
    assert any(button.proto.label == "Model card" for button in app.get("download_button"))
    opened(app)
    assert any("python -m dropclust compress theirs.pt --layer 1 --units 8" in code.value for code in app.code)


def test_what_the_viewer_says_of_a_file_decides_how_it_is_read(cache):
    app = open_page(units="8", method="prune")
    content = npz(torch_names(made((25, 12))))
    app.file_uploader[0].upload("mine.npz", content, "application/octet-stream").run()
    assert "with relu and " in said(app)
    app.selectbox(key="file_activation").set_value("tanh")
    app.selectbox(key="file_input_scale").set_value("standardised")
    text = said(app.run())
    assert "with tanh and " in text
    assert "as you chose" in text
    assert "25 neurons become 8" in text
    opened(app)
    again = "python -m dropclust compress mine.npz --input-scale standardised --activation tanh --layer 1 --units 8"
    assert any(again in code.value for code in app.code)


def test_a_file_of_letters_is_for_the_command_line(cache):
    network = made((12,))
    letters = Network([network.weights[0], torch.ones(12, 26)], [network.biases[0], torch.zeros(26)])
    app = open_page(method="prune")
    app.file_uploader[0].upload("letters.npz", files.to_bytes(letters, ".npz"), "application/octet-stream").run()
    [error] = [error.value for error in app.error]
    assert "has 26 outputs, and this page proves on MNIST's 10 digits" in error
    assert "30 neurons become 12" in said(app)


def pictures_npz(classes: int = 26) -> bytes:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (240, 28, 28), np.uint8), np.arange(240) % classes
    return npz({"x_train": images, "y_train": labels, "x_test": images[:120], "y_test": labels[:120]})


def test_letters_are_chosen_and_proved_on_pictures_that_are_brought_too(cache):
    network = made((12,))
    letters = Network([network.weights[0], torch.ones(12, 26)], [network.biases[0], torch.arange(26.0)])
    app = open_page(method="prune", image="7", units="5")
    app.session_state["other-pictures"] = True
    app.run()
    app.file_uploader(key="pictures").upload("letters.npz", pictures_npz(), "application/octet-stream").run()
    text = said(app)
    assert "220 that a network may have learned from, 20 to choose on and 120 to prove on, with 26 labels" in text
    assert "letters.npz has 26 labels and the stored networks 10 outputs" in text
    app.file_uploader(key="file").upload("letters.npz", files.to_bytes(letters, ".npz"), "application/octet-stream").run()
    text = said(app)
    assert not app.error
    assert "12 neurons become 5" in text
    assert "Test image 7 shows a 7." in text
    opened(app)
    assert "over the same 120 images" in said(app)
    again = "python -m dropclust compress letters.npz --data FOLDER --layer 1 --units 5 --method prune"
    assert again in " ".join(code.value for code in app.code)


def test_a_stored_network_is_proved_on_other_pictures_and_says_so(cache):
    app = open_page(method="prune")
    assert "pictures" not in [uploader.key for uploader in app.file_uploader]  # folded, and made when opened
    app.session_state["other-pictures"] = True
    app.run()
    app.file_uploader(key="pictures").upload("fashion.npz", pictures_npz(10), "application/octet-stream").run()
    opened(app)
    assert "over the same 120 images" in said(app)
    assert not app.error
    app.file_uploader(key="pictures").upload("fashion.npz", b"PK", "application/octet-stream").run()
    [error] = [error.value for error in app.error]
    assert error == "Data must be IDX files or an npz; fashion.npz could not be read."
    opened(app)
    assert "over the same 10,000 images" in said(app)


def test_pictures_that_were_brought_stay_when_their_fold_is_closed(cache):
    app = open_page(method="prune")
    app.session_state["other-pictures"] = True
    app.run()
    app.file_uploader(key="pictures").upload("fashion.npz", pictures_npz(10), "application/octet-stream").run()
    app.session_state["other-pictures"] = False
    app.run().run()
    opened(app)
    assert "over the same 120 images" in said(app)


def test_layers_stand_in_the_order_that_the_viewer_says(cache):
    network, app = made((12, 12)), open_page(method="prune")
    tensors = torch_names(network)
    app.file_uploader(key="file").upload("mine.npz", npz(tensors), "application/octet-stream").run()
    assert "only this order fits the shapes" in said(app)
    app.text_input(key="file_order").set_value("fc0,fc1,fc2")
    assert "as you chose" in said(app.run())
    opened(app)
    assert any("--order fc0,fc1,fc2 --layer 1" in code.value for code in app.code)
    app.text_input(key="file_order").set_value("fc0,fc2,fc1")
    [error] = [error.value for error in app.run().error]
    assert "has layers that do not fit each other in the order that was chosen" in error


def test_a_network_goes_home_taking_what_it_took_or_pixels(cache):
    model = zoo.trained("relu", "standardised")
    app = open_page(units="8", method="fold")
    app.file_uploader(key="file").upload("theirs.pt", zoo.saved(model.state_dict()), "application/octet-stream").run()
    assert app.radio(key="file_takes").options[1].startswith("as brought: standardised pixels, Normalize((0.1307,), (0.3081,))")
    assert app.radio(key="file_takes").value == app.radio(key="file_takes").options[1]
    app.radio(key="file_takes").set_value("pixels from 0 to 1")
    assert not app.run().exception


def test_the_lines_that_write_what_is_read_are_on_the_page(cache):
    app = open_page(method="prune")
    app.session_state["how-to-save"] = True
    lines = [code.value for code in app.run().code]
    assert set(files.LINES.values()) <= set(lines)


def torch_names(network: Network) -> dict[str, np.ndarray]:
    tensors = files.tensors_of(network)
    layers = range(len(tensors) // 2)
    weights = {f"fc{layer}.weight": np.ascontiguousarray(tensors[f"weights.{layer}"].T) for layer in layers}
    return weights | {f"fc{layer}.bias": tensors[f"biases.{layer}"] for layer in layers}


def npz(arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


SMALL = {"fc1.weight": np.ones((5, 100)), "fc1.bias": np.ones(5), "fc2.weight": np.ones((10, 5)), "fc2.bias": np.ones(10)}
BAD = {
    "another input size": ("small.npz", npz(SMALL), "must lead from 784 inputs to 10 outputs"),
    "NaN": ("nan.npz", npz({**torch_names(made((4,))), "fc0.bias": np.full(4, np.nan)}), "finite numbers only"),
    "a pickle": ("net.pkl", pickle.dumps({}), "may be a pickle"),
    "a pickle in disguise": ("net.npz", pickle.dumps({"a": 1}), "is a pickle"),
    "a damaged file of our own": ("own.safetensors", flipped(files.to_bytes(made((4,)), ".safetensors")), "own.safetensors"),
    "text": ("net.safetensors", b"hello, this is no network", "net.safetensors"),
    "nothing": ("net.npz", b"", "net.npz"),
    "a picture": ("net.png", b"\x89PNG", "must be a file of one of these kinds to be read"),
    "too large": ("net.npz", bytes(files.MAX_BYTES + 1), "an uploaded file must have at most 64 MiB; this one has 64.0"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_costs_one_sentence_and_the_page_works(cache, what):
    name, content, sentence = BAD[what]
    app = open_page(method="prune", units="6")
    app.file_uploader[0].upload(name, content, "application/octet-stream").run()
    [error] = [error.value for error in app.error]
    assert sentence in error
    assert "\n" not in error
    assert error.count("Traceback") == 0
    assert "30 neurons become 6" in said(app)


def test_a_file_of_fewer_layers_has_fewer_to_choose_from(cache):
    app = open_page(compressed_layer="3", method="prune")
    assert "15 neurons become 6" in said(app)
    app.file_uploader[0].upload("mine.npz", npz(torch_names(made((25, 12)))), "application/octet-stream").run()
    assert "25 neurons become 10" in said(app)


def test_without_a_run_the_page_still_takes_a_file(cache):
    shutil.rmtree(cache / "runs")
    (cache / "runs").mkdir()
    app = open_page(method="prune")
    assert "No network is stored yet" in said(app)
    app.file_uploader[0].upload("mine.npz", npz(torch_names(made((25, 12)))), "application/octet-stream").run()
    assert "25 neurons become 10" in said(app)


def test_without_its_table_the_page_still_makes_networks_smaller(cache):
    (cache / "results" / "table3-modern.csv").unlink()
    app = open_page(method="prune", trained="without dropout")
    assert "The table table3-modern is not there; make it again with: python -m dropclust reproduce table3." in said(app)
    assert "30 neurons become 12" in said(app)


def test_without_images_the_page_says_which_file_is_missing(cache):
    (cache / "MNIST").unlink()
    app = open_page(method="prune", trained="without dropout")
    assert "Nothing can be merged without images: the MNIST file train-images-idx3-ubyte.gz is missing" in said(app)
    assert "700 to 177 units" in said(app)


def test_one_neuron_alone_stays(cache):
    live.store().put(stored((1, 2, 3), seed=5))
    app = open_page(run=RunSpec(hidden=(1, 2, 3), seed=5).key)
    assert "1 neurons become 1" in said(app)


def test_the_sheet_has_a_tile_a_neuron_new_or_old():
    before, after = (np.ones((n, 28, 28)) for n in (5, 2))
    png = compress.sheet(findings.merges(before, after, np.array([1, 0, 1, -1, 1]), "A tile is its weights."))
    assert Image.open(io.BytesIO(png)).size == (2 * 6 * 36, 2 * 36)
