"""Blocks of the Compress page: a network made smaller and what that costs, a network of one's own, the table made again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from dropclust.core.methods import METHODS, methods_for
from dropclust.core.spec import LIMITS, OUTPUTS, TEST_IMAGES
from dropclust.experiments import paper, table2
from dropclust.experiments.results import ResultError
from dropclust.findings import compressing as findings
from dropclust.findings import table3, words
from dropclust.findings.compressing import Answers, Effect, Merges
from dropclust.findings.network import pictures, tile_shows
from dropclust.findings.outside import as_text
from dropclust.findings.reading_file import ReadFile
from dropclust.service import files
from dropclust.service.bounds import MIB, UPLOAD_BYTES
from dropclust.service.compressing import Images, Smaller, Source, check_outputs, read_file
from dropclust.service.files.card import card
from dropclust.service.files.look import ACTIVATIONS
from dropclust.service.files.scale import BY_PIXEL, PIXELS, SCALES, describe
from dropclust.service.parameter import Parameter
from dropclust.service.plain import Plain
from dropclust.service.proof import sentence
from dropclust.service.shared import shared
from dropclust.ui import compressing, controls, live, state
from dropclust.ui.figures import compressing as draw
from dropclust.ui.figures import lines
from dropclust.ui.figures import table3 as draw_table
from dropclust.ui.figures.network import neuron_sheet
from dropclust.ui.figures.once import draw_once

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from dropclust.core.methods import Choice
    from dropclust.service.files.scale import InputScale

Found = TypeVar("Found")

RECIPE = controls.RECIPE
BEFORE = Parameter("before", "Units before", max(table3.BEFORE), table3.BEFORE)
TRAINED = Parameter("trained", "Trained", "all", tuple(table3.TRAININGS), show=table3.TRAININGS.__getitem__)
LAYER = Parameter("compressed_layer", "Hidden layer", 1, tuple(range(1, files.MAX_TENSORS // 2)))
METHOD = Parameter("method", "Method", "paper", tuple(table3.NAMES), show=table3.NAMES.__getitem__)
SEED = Parameter(
    "kmeans_seed",
    "Seed",
    0,
    low=LIMITS["seed"][0],
    high=LIMITS["seed"][1],
    step=1,
    help="Of the clustering (k-means), which starts at random, and of merging at random.",
)
UNITS = Parameter("units", "Units left", 1, low=1, high=LIMITS["hidden"][1], step=1)
TOLERANCE = Parameter("tolerance", "Points of accuracy that you allow to be lost", 1.0, (0.5, 1.0, 2.0))
IMAGE = Parameter("image", "Test image", 0, low=0, high=TEST_IMAGES - 1, step=1, help="Type a number, or press the arrow keys.")
CURVE = 440  # pixels of the main chart, and of what stands in its place
SHARE_LEFT = 0.4  # as in the paper, 162 of 400
# What the address may hold whatever network is chosen; the rest is checked where the network is known.
PARAMETERS = (RECIPE, BEFORE, TRAINED, SEED, TOLERANCE, IMAGE)
OF_TABLE = (RECIPE.name, BEFORE.name, TRAINED.name)
CHECKED_LATER = (LAYER.name, METHOD.name, UNITS.name, "run")


def page() -> None:
    """A network made smaller, with the picture first; below it what is chosen, what goes home, and the paper's table."""
    finding, main = st.container(), st.container()
    source = choose_source()
    if source is not None:
        try:
            one_network(source, finding, main)
        except FileNotFoundError as error:
            st.warning(f"Nothing can be merged without images: {error}", icon=":material/image_not_supported:")
    folded = st.expander(
        "Table 3, made again: every method and control, over seeds", any(name in st.query_params for name in OF_TABLE),
        icon=":material/table_chart:", key="table-3-again", on_change="rerun",
    )  # fmt: skip
    if folded.open:
        with folded:
            paper_again()


def paper_again() -> None:
    """Table 3 over seeds: the recipe is of all of it, the width of the left chart, the training of the right one."""
    recipe = controls.choose(RECIPE)
    table = st.container()
    left, right = st.columns(2)
    with left:
        before = controls.choose(BEFORE)
    with right:
        trained = controls.choose(TRAINED)
    try:
        shown = live.said("table3", recipe, h=before, trained=trained)
    except ResultError as error:
        st.info(f"{words.capital(str(error))}.")
        return
    with table:
        st.table(shown.again.formatted())
        st.caption(
            "If neurons act alike, one can do the work of several: the paper clusters layer 1, replaces each cluster by one "
            "neuron, and finds that networks trained with dropout lose little by it (section 4.4). Here its method stands "
            f"beside others, and beside pruning, which merges nothing. {shown.again.sentence} "
            f"Paper: {paper.CITATION}, Table 3."
        )
        controls.behind(shown.again, "table3", shown.command)
    with left:
        controls.chart(shown.losses, draw_table.losses, "table3-losses", shown.command)
    with right:
        controls.chart(shown.curves, lines.curves, "table3-curves", shown.command, height=640)


# ---- which network -------------------------------------------------------------------------------------------------------


def choose_source() -> Source | None:
    """A network of the viewer's own, or a stored one; what is wrong with a file costs one sentence."""
    left, right = st.columns(2)
    with right:
        file = st.file_uploader(
            f"Or a file of your own: {', '.join(files.READABLE)}",
            key="file",
            help="A perceptron with 784 inputs and one to six hidden layers, of at most "
            f"{UPLOAD_BYTES.value() // MIB} MB, from PyTorch, Keras, scikit-learn, JAX, ONNX or this project. Nothing in it is "
            "run. It stays in this session alone.",
        )
        how = st.popover("How do I save mine?", icon=":material/help:", key="how-to-save", on_change="rerun")
        if how.open:
            with how:
                for who, line in files.LINES.items():
                    st.caption(who)
                    st.code(line, language="python", wrap_lines=True)
    images = choose_images()
    source = None if file is None else own_file(file, images)
    if file is None:
        st.session_state.pop("compress_file", None)
    if source is not None or (file is not None and st.session_state.get("compress_file") is None):
        return source
    with left:
        run = controls.choose_run(live.store().list(), table2.shown_spec(0.5).key)
    stored = None if run is None else live.stored(run.key)
    if stored is None:
        return None
    source = compressing.source_of(stored.key, stored.created, stored)
    if images is None:
        return source
    if images.classes != OUTPUTS:
        st.error(
            f"{as_text(images.name)} has {images.classes} labels and the stored networks {OUTPUTS} outputs: bring a network of "
            f"{images.classes}. Until then MNIST's images are used.",
            icon=":material/error:",
        )
        return source
    return replace(source, images=images, command=f"{source.command}--data FOLDER ")


def choose_images() -> Images | None:
    """Pictures other than MNIST's to choose and to prove on, where the viewer brings some."""
    folded = st.expander(
        "Other pictures than MNIST's, to choose and to prove on", icon=":material/image:", key="other-pictures",
        on_change="rerun",
    )  # fmt: skip
    if not folded.open and not st.session_state.get("pictures"):  # what is there stays, for a widget not drawn forgets
        st.session_state.pop("compress_images", None)
        return None
    with folded:
        uploaded = st.file_uploader(
            "IDX files (train-images, train-labels, t10k-images, t10k-labels, also .gz), or one .npz",
            key="pictures", accept_multiple_files=True,
            help="Pictures of 28 x 28 such as Fashion-MNIST, KMNIST or EMNIST. An .npz holds x_train, y_train, x_test and "
            "y_test. The last twelfth of the training pictures is held out to choose on; the test pictures prove.",
        )  # fmt: skip
        if not uploaded:
            st.session_state.pop("compress_images", None)
            return None

        def read() -> Images | None:
            return compressing.images_of([(each.name, each.getvalue()) for each in uploaded])

        images = brought("compress_images", [each.file_id for each in uploaded], read)
        if images is None or isinstance(images, str):
            if images:
                st.error(f"{as_text(words.capital(images))}.", icon=":material/error:")
            return None
        st.success(
            f"Your pictures, {as_text(images.name)}: {images.train:,} that a network may have learned from, "
            f"{images.held_out:,} to choose on and {images.test:,} to prove on, with {images.classes} labels.",
            icon=":material/image:",
        )
    return images


def brought(name: str, this: object, read: Callable[[], Found | None]) -> Found | str | None:
    """What is read of files that a viewer brought, once a session, or why they are refused; None while it is waited for."""
    kept = st.session_state.get(name)
    if kept is None or kept[0] != this:
        st.session_state[name] = None
        try:
            if (found := read()) is None:
                return None
            kept = this, found
        except ValueError as error:
            kept = this, str(error)
        st.session_state[name] = kept
    answer: Found | str = kept[1]
    return answer


def own_file(file: UploadedFile, images: Images | None) -> Source | None:
    """The network of a file, with the report of how it was read; None while it is read, or with a sentence why it is not."""
    scales, activations, orders = st.columns(3)
    input_scale = scales.selectbox(
        "It takes", (None, *SCALES, *BY_PIXEL), format_func=_taken, key="file_input_scale", accept_new_options=True,
        help="What the network was trained on: found on held-out images unless you say it. Also normalize:MEAN:DEVIATION, and "
        "each with ,inverted or ,transposed after it.",
    )  # fmt: skip
    activation = activations.selectbox(
        "Activation", (None, *ACTIVATIONS), format_func=lambda name: name or "as proposed", key="file_activation",
        accept_new_options=True,
        help="What stands after each hidden layer: from the file, or found on held-out images, unless you say it.",
    )  # fmt: skip
    order = orders.text_input(
        "Order of layers", key="file_order", placeholder="as proposed",
        help="Their names from the first to the last, as fc1,fc2,fc3, where the proposed order is wrong.",
    )  # fmt: skip
    chosen = {"--input-scale": input_scale, "--activation": activation, "--order": order or None}

    def read() -> tuple[Source, ReadFile] | None:
        found = live.ask(read_file(file.getvalue(), file.name, input_scale, activation, order or None, images))
        if found is None:
            return None
        network, said, scale = found
        check_outputs(network, file.name, images)
        options = "".join(f"{option} {shlex.quote(value)} " for option, value in chosen.items() if value)
        begins = f"python -m dropclust compress {shlex.quote(file.name)} {options}{'--data FOLDER ' if images else ''}"
        source = Source.of(network, file.name, begins, scale if scale.name != PIXELS else None)
        return replace(source, images=images), said

    found = brought("compress_file", (file.file_id, *chosen.values(), images.stamp if images else None), read)
    if found is None or isinstance(found, str):
        if found:
            st.error(f"{as_text(found)}.", icon=":material/error:")
        return None
    source, said = found
    how_it_was_read(source, said)
    return source


def _taken(name: str | None) -> str:
    return "as proposed" if name is None else describe(name) if name in {*SCALES, *BY_PIXEL} else name


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
    if len(said.ways) > 1:
        with st.expander("Ways to read it that were tried"):
            st.table(said.tried().map(lambda value: as_text(str(value))))


# ---- made smaller --------------------------------------------------------------------------------------------------------


def choose_units(source: Source, layer: int, method: str, seed: int) -> int | None:
    """How many units are left: two fifths, as in the paper, until the viewer says otherwise; None while it is waited for.

    For "agreement" they follow from the number of clusters, which is what is chosen: at first the one that leaves as many, and
    when the method changes as many as were left, so that methods are compared at equal width.
    """
    width = source.network.hidden[layer - 1]
    if width == 1:
        return 1

    def asked(units: int) -> int | None:
        return live.ask(source.clusters_for(layer, units, seed)) if method == "agreement" else units

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


def one_network(source: Source, finding: DeltaGenerator, main: DeltaGenerator) -> None:
    """The chosen network made smaller: in ``main`` how few units will do and what it costs, then its files and neurons."""
    network = source.network
    depth = len(network.hidden)
    of_layer = replace(LAYER, options=LAYER.options[:depth])
    of_network = replace(METHOD, options=tuple(methods_for(network)))
    state.check([of_layer, of_network])
    for parameter in (of_layer, of_network):
        if st.session_state.get(parameter.name, parameter.default) not in parameter.options:
            st.session_state[parameter.name] = parameter.default
    home = st.container()
    wide, narrow = st.columns([3, 1])
    with wide:
        method = controls.choose(of_network)
        about = METHODS[method]
        st.caption(f"`{method}`: {about.sentence} Source: {about.source}.{' A control.' if about.control else ''}")
    with narrow:
        layer = controls.choose(of_layer)
        seed = controls.number(SEED)
    with main:
        units = choose_units(source, layer, method, seed)
        curve, beside = st.columns([5, 2])
    command = f"{source.command}--layer {layer} --units {units} --method {method} --seed {seed} --out small.safetensors"
    with beside:
        small = None if units is None else compressing.compressed(source, layer, units, method, seed, 330)
        if small:
            said = effect_of(small.key, small)
            controls.metrics(said.numbers, 150)
    left = small.network.hidden[layer - 1] if small else None
    with curve:
        tolerance, choice = accuracy_curve(source, layer, method, seed, left)
    if small:
        finding.markdown(words.unbroken(f"{said.brief} {findings.beyond(said, tolerance, choice)}"))
    else:
        finding.markdown(
            f"Layer {layer} has {words.count(network.hidden[layer - 1], 'neuron')}. When some act alike, one can do the work "
            "of several: how few will do?"
        )
    if small:
        st.session_state["compress_left"] = (source.digest, layer), method, left
        with home:
            controls.behind(said, "compressed", command)
            take_home(source, small)
        st.header("Which neurons merged")
        merged = merges_of(small.key, layer, network, small)
        controls.picture(merged, sheet, "merges", command, halves=len(merged.pictures) > 20)
    # Widgets are drawn while their numbers are waited for, too: one that is not drawn forgets what was chosen.
    st.header("A digit through both" if source.images is None else "A picture through both")
    answers = small.answers if small else None
    if answers is not None and source.images is not None:  # only the first of many were brought back to be shown
        answers = answers.first(len(source.images.levels))
    st.fragment(one_digit)(answers, source.images)


@shared(most=24)
def effect_of(key: str, _small: Smaller) -> Effect:
    """What was lost and gained, said once of one answer."""
    return findings.effect(_small.proof, _small.answers, _small.times, _small.timed_images)


@shared(most=8)
def merges_of(key: str, layer: int, _network: Plain, _small: Smaller) -> Merges:
    """Which neurons merged, seen once of one answer."""
    old, new = (pictures(each.weights, layer) for each in (_network, _small.network))
    return findings.merges(old, new, _small.labels, tile_shows(_network.weights, layer))


def take_home(source: Source, small: Smaller) -> None:
    """The smaller network's files: for what the network that was brought took, where that is not pixels, or for pixels."""
    taken = None
    if source.input_scale is not None:
        brought = f"as brought: {source.input_scale.words}"
        kept = st.radio("The files' network takes", ("pixels from 0 to 1", brought), index=1, key="file_takes", horizontal=True)
        taken = source.input_scale if kept == brought else None
    name = f"smaller-{small.network.digest[:12]}"
    controls.downloads(small.network, name, small.proof, taken, card_of(small.key, taken, small))


@shared(most=24)
def card_of(key: str, taken: InputScale | None, _small: Smaller) -> str:
    """The model card beside its files, written once of one answer."""
    name = f"dropclust-smaller-{_small.network.digest[:12]}"
    return card(_small.network, name, sentence(_small.proof), _small.proof, taken)


def sheet(merged: Merges, half: int | None = None) -> bytes:
    """A PNG of the new neurons, each with a broad frame, followed by those it was made of in the same colour."""
    return neuron_sheet(merged.neurons, half=half)


def one_digit(found: Answers | None, brought: Images | None) -> None:
    """A test image through both networks, once their answers are there."""

    def to_next() -> None:
        if found is not None:
            st.session_state["image"] = findings.next_differing(found, st.session_state["image"])

    left, right = st.columns([1, 2])
    with left:
        image = controls.number(IMAGE if brought is None else replace(IMAGE, high=len(brought.levels) - 1))
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
        if images := brought or live.test_images(last=True):
            st.image(
                draw_once(compressing.picture, images.pixels(image)), alt=f"Test image {image}: a {info.truth}.", width=160
            )
    with right:
        controls.chart(info, draw.digit, "digit")


def accuracy_curve(source: Source, layer: int, method: str, seed: int, left: int | None) -> tuple[float, Choice | None]:
    """What other numbers of units would leave; for a wide layer when asked for; ``left`` is None until it is known.

    Returns
    -------
    float, Choice or None
        The points that the viewer allows to be lost; how few units lose no more, once it is known.
    """
    asked = st.session_state.setdefault("compress_curves", set())
    this, width = (source.digest, layer, method, seed), source.network.hidden[layer - 1]
    picture, chooser = st.container(), st.container(horizontal=True, vertical_alignment="bottom")
    with chooser:
        tolerance = controls.choose(TOLERANCE)
    with picture:
        if width > compressing.AUTOMATIC and this not in asked:
            with st.container(height=CURVE, border=False):
                help_ = "A minute for a very wide layer."
                if not st.button("Draw accuracy against units", icon=":material/show_chart:", help=help_):
                    return tolerance, None
            asked.add(this)
        choice = live.ask(source.chosen_units(layer, method, tolerance, seed), CURVE, last=True)
        if choice is None:
            return tolerance, None
        others = live.ask(source.controls_of(layer, method, seed, findings.widths(choice, width)), CURVE, last=True)
        if others is not None and left is not None:
            info = findings.held_curves(choice, others, method, left)
            controls.chart(info, lines.curves, "held-curve", height=CURVE)
    kept = findings.fewest(choice)
    with chooser:
        st.button(
            f"Keep {kept.width} units", on_click=lambda: st.session_state.update(units=kept.units), type="primary",
            icon=":material/compress:", help="Of the numbers tried the fewest that lose no more.",
        )  # fmt: skip
    lost = f"{100 * (kept.accuracy - choice.accuracy_before):+.2f} points on the held-out images, by which they are chosen."
    st.caption(f"{lost} The test images may lose more.")
    return tolerance, choice
