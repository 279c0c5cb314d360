"""Blocks of the Compress page: the table made again, a network chosen and made smaller, and what that costs and gains."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from dropclust.core.methods import METHODS, methods_for
from dropclust.core.spec import LIMITS, TEST_IMAGES
from dropclust.experiments import paper, table2
from dropclust.experiments.results import ResultError
from dropclust.findings import compressing as findings
from dropclust.findings import table3, words
from dropclust.findings.compressing import Answers, Effect, Merges
from dropclust.findings.network import Neurons, pictures
from dropclust.findings.outside import as_text
from dropclust.findings.reading_file import ReadFile
from dropclust.service import files
from dropclust.service.bounds import MIB, UPLOAD_BYTES
from dropclust.service.files.card import card
from dropclust.service.files.look import ACTIVATIONS
from dropclust.service.files.scale import BY_PIXEL, SCALES, describe
from dropclust.service.parameter import Parameter
from dropclust.service.proof import sentence
from dropclust.service.work import TIMED_IMAGES
from dropclust.ui import compressing, controls, live, state
from dropclust.ui.compressing import Source
from dropclust.ui.figures import compressing as draw
from dropclust.ui.figures import lines
from dropclust.ui.figures import table3 as draw_table
from dropclust.ui.figures.network import neuron_sheet

RECIPE = controls.RECIPE
BEFORE = Parameter("before", "Units before", max(table3.BEFORE), table3.BEFORE)
TRAINED = Parameter("trained", "Trained", table3.TRAININGS["all"], tuple(table3.TRAININGS.values()))
LAYER = Parameter("compressed_layer", "Hidden layer", 1, tuple(range(1, files.MAX_TENSORS // 2)))
METHOD = Parameter("method", "Method", table3.NAMES["paper"], tuple(table3.NAMES.values()))
SEED = Parameter(
    "kmeans_seed",
    "Seed",
    0,
    low=LIMITS["seed"][0],
    high=LIMITS["seed"][1],
    step=1,
    help="Of k-means, which starts at random, and of random clusters.",
)
UNITS = Parameter("units", "Units left", 1, low=1, high=LIMITS["hidden"][1], step=1)
TOLERANCE = Parameter("tolerance", "Held-out points that may be lost", 1.0, (0.5, 1.0, 2.0))
IMAGE = Parameter("image", "Test image", 0, low=0, high=TEST_IMAGES - 1, step=1, help="Type a number, or press the arrow keys.")
SHARE_LEFT = 0.4  # as in the paper, 162 of 400
# What the address may hold whatever network is chosen; the rest is checked where the network is known.
PARAMETERS = (RECIPE, BEFORE, TRAINED, SEED, TOLERANCE, IMAGE)
CHECKED_LATER = (LAYER.name, METHOD.name, UNITS.name, "run")


def named(names: Mapping[str, str], shown: str) -> str:
    """The key under which a name for people stands."""
    return next(key for key, name in names.items() if name == shown)


@st.cache_resource(show_spinner=False, max_entries=100)
def found(recipe: str, h: int, trained: str) -> table3.Table3:
    """What is said of the shipped Table 3; raises as `dropclust.findings.table3.read`."""
    return table3.read(recipe, None, h, trained)


def paper_again() -> None:
    """Table 3 over seeds: the recipe is of all of it, the width of the left chart, the training of the right one."""
    recipe = controls.choose(RECIPE)
    table = st.container()
    left, right = st.columns(2)
    with left:
        before = controls.choose(BEFORE)
    with right:
        trained = named(table3.TRAININGS, controls.choose(TRAINED))
    try:
        shown = found(recipe, before, trained)
    except ResultError as error:
        st.info(f"{words.capital(str(error))}.")
        return
    with table:
        st.table(shown.again.formatted())
        st.caption(f"{shown.again.sentence} Paper: {paper.CITATION}, Table 3.")
        controls.behind(shown.again, "table3", shown.command)
    with left:
        controls.chart(shown.losses, draw_table.losses, "table3-losses", shown.command)
    with right:
        controls.chart(shown.curves, lines.curves, "table3-curves", shown.command, height=640)


def choose_source() -> Source | None:
    """A network of the viewer's own, or a stored one; what is wrong with a file costs one sentence."""
    left, right = st.columns(2)
    with right:
        file = st.file_uploader(
            f"Or a file of your own: {', '.join(files.READABLE)}",
            key="file",
            help="A perceptron with 784 inputs, one to six hidden layers and 10 outputs, of at most "
            f"{UPLOAD_BYTES.value() // MIB} MB, from PyTorch, Keras, scikit-learn, ONNX or this project. Nothing in it is run. "
            "It stays in this session alone.",
        )
        if file is None:
            st.session_state.pop("compress_file", None)
        else:
            scales, activations = st.columns(2)
            input_scale = scales.selectbox(
                "It takes", (None, *SCALES, *BY_PIXEL), format_func=lambda name: describe(name) if name else "as proposed",
                key="file_input_scale", help="What the network was trained on: found on held-out images unless you say it.",
            )  # fmt: skip
            activation = activations.selectbox(
                "Activation", (None, *ACTIVATIONS), format_func=lambda name: name or "as proposed", key="file_activation",
                help="What stands after each hidden layer: from the file, or found on held-out images, unless you say it.",
            )  # fmt: skip
            this, brought = (file.file_id, input_scale, activation), st.session_state.get("compress_file")
            if brought is None or brought[0] != this:
                try:
                    found = compressing.read(file.getvalue(), file.name, input_scale, activation)
                    if found is None:
                        return None
                    network, said = found
                    chosen = {"--input-scale": input_scale, "--activation": activation}
                    options = "".join(f"{option} {value} " for option, value in chosen.items() if value)
                    begins = f"python -m dropclust compress {shlex.quote(file.name)} {options}"
                    brought = this, (Source.of(network, file.name, begins, said.input_scale), said)
                except ValueError as error:
                    brought = this, str(error)
                st.session_state["compress_file"] = brought
            if not isinstance(brought[1], str):
                source, said = brought[1]
                with left:
                    how_it_was_read(source, said)
                return source
            st.error(f"{as_text(brought[1])}.", icon=":material/error:")
    with left:
        run = controls.choose_run(live.store().list(), table2.shown_spec(0.5).key)
    stored = None if run is None else live.store().get(run.key)
    return None if stored is None else compressing.source_of(stored.key, stored.created, stored)


def how_it_was_read(source: Source, said: ReadFile) -> None:
    """The report of a file that was brought, before anything is made of it."""
    widths = " - ".join(map(str, source.network.hidden))
    st.success(
        f"Your file: hidden layers {widths}, {source.network.n_parameters:,} parameters. {as_text(said.sentence)} Take it away "
        "to return to the stored networks.",
        icon=":material/upload_file:",
    )
    st.table(said.table().map(lambda value: as_text(str(value))))
    for what, how in said.facts:
        st.caption(f"{words.capital(what)}: {as_text(how)}.")


def choose_units(source: Source, layer: int, method: str, seed: int) -> int | None:
    """How many units are left: two fifths, as in the paper, until the viewer says otherwise; None while it is waited for.

    For "agreement" they follow from the number of clusters, which is what is chosen: at first the one that leaves as many, and
    when the method changes as many as were left, so that methods are compared at equal width.
    """
    width = source.network.hidden[layer - 1]
    if width == 1:
        return 1

    def asked(units: int) -> int | None:
        return compressing.clusters_for(source, layer, units, seed) if method == "agreement" else units

    this, before, left = st.session_state.get("compress_left", (None, None, 0))
    if this == (source.digest, layer) and "agreement" in {method, before} and method != before:
        if (wanted := asked(left)) is None:
            return None
        st.session_state["units"] = wanted
    if (default := asked(math.ceil(SHARE_LEFT * width))) is None:
        return None
    counted = "Units left" if method != "agreement" else "Clusters of each clustering: the units left follow from them"
    parameter = replace(UNITS, label=counted, default=default, high=width)
    state.check([parameter])
    units: int = controls.drag(parameter)
    return units


def one_network(source: Source) -> None:
    """The chosen network made smaller: what it costs, what it looks like, what it says, and its files."""
    network = source.network
    depth = len(network.hidden)
    of_layer = replace(LAYER, options=LAYER.options[:depth])
    of_network = replace(METHOD, options=tuple(table3.NAMES[name] for name in methods_for(network)))
    state.check([of_layer, of_network])
    for parameter in (of_layer, of_network):
        if st.session_state.get(parameter.name, parameter.default) not in parameter.options:
            st.session_state[parameter.name] = parameter.default
    wide, narrow = st.columns([3, 1])
    with wide:
        method = named(table3.NAMES, controls.choose(of_network))
        about = METHODS[method]
        st.caption(f"{about.sentence} Source: {about.source}.{' A control.' if about.control else ''}")
    with narrow:
        layer = controls.choose(of_layer)
        seed = controls.number(SEED)
    units = choose_units(source, layer, method, seed)
    curve = st.container()
    said, drawn = st.columns([2, 3])
    command = f"{source.command}--layer {layer} --units {units} --method {method} --seed {seed} --out small.safetensors"
    with said:
        st.subheader("Lost and gained")
        small = None if units is None else compressing.compressed(source, layer, units, method, seed)
        if small:
            effect(findings.effect(small.proof, small.answers, small.times, TIMED_IMAGES), command)
            name = f"smaller-{small.network.digest[:12]}"
            controls.downloads(small.network, name, small.proof)
            st.download_button(
                "Model card",
                card(small.network, f"dropclust-{name}", sentence(small.proof), small.proof),
                f"dropclust-{name}.md",
                key="download.md",
                on_click="ignore",
                icon=":material/description:",
                help="What the network is, what it takes, and its proof in words.",
            )
    # Widgets are drawn while their numbers are waited for, too: one that is not drawn forgets what was chosen.
    with drawn:
        st.subheader("A digit through both")
        st.fragment(one_digit)(small.answers if small else None)
    left = None
    if small:
        left = small.network.hidden[layer - 1]
        st.session_state["compress_left"] = (source.digest, layer), method, left
        st.subheader("Which neurons merged")
        old, new = (pictures(each.weights, layer) for each in (network, small.network))
        merged = findings.merges(old, new, small.labels)
        controls.picture(merged, sheet, "merges", command)
    with curve:
        accuracy_curve(source, layer, method, seed, left)


def sheet(merged: Merges) -> bytes:
    """A PNG of the new neurons, each with a broad frame, followed by those it was made of in the same colour."""
    new = merged.number < 0
    return neuron_sheet(Neurons(merged.pictures, merged.number, merged.unit, merged.unit, new, merged.sentence))


def effect(info: Effect, command: str) -> None:
    """What was lost and what was gained."""
    original, smaller = info.rows
    numbers = [column for _ in range(3) for column in st.columns(2)]
    numbers[0].metric("Neurons left", f"{info.left[0]} of {info.left[1]}")
    numbers[1].metric("Speed", f"{info.speed.mean:.2f} x", words.ends(info.speed), delta_color="off", delta_arrow="off")
    numbers[2].metric("Test accuracy", f"{smaller['test accuracy']:.4f}", f"{100 * info.change.mean:+.2f} points")
    numbers[3].metric("Held-out accuracy", f"{smaller['held-out accuracy']:.4f}", f"{info.held:+.2f} points")
    for column, name in zip(numbers[4:], ("parameters", "bytes"), strict=True):
        share = smaller[name] / original[name] - 1
        column.metric(name.capitalize(), f"{smaller[name]:,}", f"{100 * share:+.0f} %", delta_color="inverse")
    st.caption(info.sentence)
    controls.behind(info, "compressed", command)


def one_digit(found: Answers | None) -> None:
    """A test image through both networks, once their answers are there."""

    def to_next() -> None:
        if found is not None:
            st.session_state["image"] = findings.next_differing(found, st.session_state["image"])

    left, right = st.columns([1, 2])
    with left:
        image = controls.number(IMAGE)
        st.button(
            "Next difference",
            on_click=to_next,
            disabled=found is None or not len(found.differing),
            icon=":material/skip_next:",
            help="The next test image that the two classify differently.",
            width="stretch",
        )
        if found is None:
            return
        info = findings.digit(found, image)
        if images := live.test_images():
            st.image(compressing.picture(images.pixels(image)), alt=f"Test image {image}: a {info.truth}.", width=160)
    with right:
        controls.chart(info, draw.digit, "digit")


def accuracy_curve(source: Source, layer: int, method: str, seed: int, left: int | None) -> None:
    """What other numbers of units would leave; for a wide layer when asked for; ``left`` is None until it is known."""
    asked = st.session_state.setdefault("compress_curves", set())
    this, width = (source.digest, layer, method, seed), source.network.hidden[layer - 1]
    if width > compressing.AUTOMATIC and this not in asked:
        if not st.button("Draw accuracy against units", icon=":material/show_chart:", help="A minute for a very wide layer."):
            return
        asked.add(this)
    chart, choose = st.columns([3, 1])
    with choose:
        tolerance = controls.choose(TOLERANCE)
        choice = compressing.chosen(source, layer, method, tolerance, seed)
        if choice is None:
            return
        kept = findings.fewest(choice)
        st.button(
            f"Keep {kept.width} units", on_click=lambda: st.session_state.update(units=kept.units), type="primary",
            icon=":material/compress:", help="The fewest found that lose no more.", width="stretch",
        )  # fmt: skip
        st.caption(
            f"{100 * (kept.accuracy - choice.accuracy_before):+.2f} points on the held-out images, by which they are chosen. "
            "The test images are counted afterwards and may lose more."
        )
    with chart:
        others = compressing.controls_of(source, layer, method, seed, findings.widths(choice, width))
        if others is None or left is None:
            return
        info = findings.held_curves(choice, others, method, left)
        controls.chart(info, lines.curves, "held-curve", height=440)
