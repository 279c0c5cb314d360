"""Train: choose a network, train it on MNIST in the background, watch it learn, take it home."""

import re

import streamlit as st

from dropclust.core.cost import CURVE_IMAGES
from dropclust.core.spec import NOISES, TEST_IMAGES, TRAIN_IMAGES, RunSpec
from dropclust.experiments import table2
from dropclust.findings import network
from dropclust.service.jobs import ENDED
from dropclust.ui import controls, live, runs, state
from dropclust.ui.figures.network import learning_figure, neuron_sheet
from dropclust.ui.state import Parameter, within

DEFAULT = RunSpec()
EACH = Parameter("each", "A rate for each layer", False, (False, True), show=lambda on: str(on).lower())
RATE = Parameter("rate", "Dropout rate", DEFAULT.dropout[0], step=0.05, **within("dropout"))
LAYER_RATES = [
    Parameter(f"rate{layer}", f"Dropout rate, layer {layer}", DEFAULT.dropout[layer - 1], step=0.05, **within("dropout"))
    for layer in (1, 2, 3)
]
WIDTHS = [
    Parameter(f"width{layer}", f"Units, layer {layer}", DEFAULT.hidden[layer - 1], step=10, typed=True, **within("hidden"))
    for layer in (1, 2, 3)
]
BATCH = Parameter("batch", "Batch size", DEFAULT.batch_size, step=1, typed=True, **within("batch_size"))
AMOUNT = Parameter(
    "examples", "Examples shown", DEFAULT.examples, step=10_000, typed=True, **within("examples"),
    help=f"How many images the network sees in all, repeats counted: {TRAIN_IMAGES:,} are one epoch.",
)  # fmt: skip
SIZE = Parameter(
    "images", "Training images", TRAIN_IMAGES, step=1_000, typed=True, **within("train_size"),
    help="How many different images it learns from, drawn at random by its seed.",
)  # fmt: skip
NOISE = Parameter(
    "noise", "Noise", DEFAULT.noise, tuple(NOISES), show=lambda noise: NOISES[noise].split(" ")[0],
    help="Bernoulli, the paper's vanilla dropout: a unit is kept or dropped. Gaussian: it is multiplied by noise of the same "
    "variance. DropConnect: weights are dropped instead of units.",
)  # fmt: skip
RECIPE = controls.RECIPE
SEEDS = Parameter(
    "seeds", "Seeds", 1, step=1, low=1, high=8, typed=True,
    help="So many networks alike, but for initial weights, order of the images and noise: their spread gives the interval.",
)  # fmt: skip
FIRST = Parameter(
    "seed", "First seed", 0, step=1, typed=True, **within("seed"),
    help="The others follow it. The same seed gives the same network.",
)  # fmt: skip
LAYER = Parameter("layer", "Hidden layer", 1, table2.LAYERS)
CLUSTERS = Parameter("k", "Clusters", 10, table2.CLUSTERS)
ALL = [EACH, RATE, *LAYER_RATES, *WIDTHS, BATCH, AMOUNT, SIZE, NOISE, RECIPE, SEEDS, FIRST, LAYER, CLUSTERS]


def chosen_specs() -> list[RunSpec]:
    """The controls; returns one spec a seed.

    Raises
    ------
    ValueError
        When the fields do not make a run together.
    """
    each = st.toggle(EACH.label, EACH.default, key=EACH.name, bind="query-params")
    dropout = [controls.drag(rate) for rate in LAYER_RATES] if each else [controls.drag(RATE)] * 3
    hidden = [column_number(column, width) for column, width in zip(st.columns(3), WIDTHS, strict=True)]
    left, right = st.columns(2)
    batch, amount = column_number(left, BATCH), column_number(right, AMOUNT)
    noise, recipe = controls.choose(NOISE), controls.choose(RECIPE)
    seeds = controls.number(SEEDS)
    with st.expander("More"):
        first, size = controls.number(FIRST), controls.number(SIZE)
    if not SEEDS.low <= seeds <= SEEDS.high:
        raise ValueError(f"{SEEDS.label} must be a whole number from {SEEDS.low} to {SEEDS.high}; got {seeds:,}")
    return [
        RunSpec(
            hidden=tuple(hidden), dropout=tuple(dropout), noise=noise, batch_size=batch, examples=amount, train_size=size,
            recipe=recipe, seed=seed,
        )
        for seed in range(first, first + seeds)
    ]  # fmt: skip


def in_words(error: ValueError) -> str:
    """A spec's refusal, its fields named as their widgets are."""
    labels = {
        "hidden": "Units", "batch_size": BATCH.label, "examples": AMOUNT.label, "train_size": SIZE.label, "seed": FIRST.label,
    }  # fmt: skip
    text = re.sub(rf"\b({'|'.join(labels)})\b", lambda found: labels[found[0]].lower(), str(error))
    return f"{text[:1].upper()}{text[1:]}."


def column_number(column, parameter: Parameter):
    """A number in a column."""
    with column:
        return controls.number(parameter)


def expected_seconds(specs: list[RunSpec]) -> float | None:
    """Until the last of these is done, were the queue empty; None before the machine was calibrated."""
    speed = live.calibration()
    return None if speed is None else sum(map(speed.seconds, specs)) / min(len(specs), live.queue().workers)


def shown_keys(specs: list[RunSpec]) -> list[str]:
    """Keys of the runs that the address carries, else of what is chosen, where that was trained before."""
    asked = list(dict.fromkeys(st.query_params.get_all("run")))
    if asked:
        return asked
    stored = {summary.key for summary in live.store().list()}
    return [spec.key for spec in specs if spec.key in stored]


def shown_runs(keys: list[str]) -> list:
    """The runs of these keys; a key that nobody knows costs a sentence."""
    found = {key: run for key in keys if (run := live.queue().get(key))}
    unknown = [key for key in keys if key not in found]
    if unknown:
        st.warning(
            f"No run {unknown[0][:12]} is known here: a run's key is 64 hex digits, and its network must be in this machine's "
            "store. The settings in the address can be trained again.",
            icon=":material/link_off:",
        )
    return list(found.values())


def progress(keys: list[str]) -> None:
    """The curves of these runs, growing while they train; every half second while any is on its way."""
    found = shown_runs(keys)
    active = [run for run in found if run.state not in ENDED]
    speed = live.calibration()
    for run in active:
        text, share = runs.standing(run, speed.seconds(run.spec) if speed else None)
        st.progress(share, text)
    for run in found:
        if run.state in ENDED and run.message:
            st.warning(f"{runs.label(run.spec)}: {network.STATES[run.state]}. {run.message}", icon=":material/error:")
    if active and st.button("Stop", icon=":material/stop_circle:", help="Keeps what was learnt so far."):
        for run in active:
            live.queue().stop(run.key)
        st.rerun(scope="fragment")
    if found:
        info = network.learning([(runs.label(run.spec), run.curve) for run in found])
        total = max(run.spec.examples for run in found)
        for column, what in zip(st.columns(2), ("accuracy", "loss"), strict=True):
            column.plotly_chart(
                learning_figure(info, what, total), key=f"curve-{what}", alt=f"{what}: {info.sentence}",
                config={"displayModeBar": False},
            )  # fmt: skip
        st.markdown(info.sentence)
        controls.behind(info, "curves", " && ".join(map(runs.command, (run.spec for run in found))))
    if not active and st.session_state.pop("watching", False):
        st.rerun()  # the page around shows what came of it
    if active:
        st.session_state["watching"] = True


def results(keys: list[str]) -> None:
    """What came of these runs: accuracy, similarity, neurons, files."""
    stored = [found for key in keys if (found := runs.stored(live.store(), key))]
    if not stored:
        return
    kinds = [network.outcome(name, alike) for name, alike in runs.alike(stored).items()]
    if len(kinds) == 1:
        st.subheader(kinds[0].name)
        st.markdown(kinds[0].sentence)
        controls.behind(kinds[0], "outcome")
    else:
        together = network.Outcomes(tuple(kinds))
        st.subheader("What came of them")
        st.table(together.overview())
        controls.behind(together, "outcomes")
    st.caption(
        f"Test accuracy is the share of the {TEST_IMAGES:,} test images that the scaled network reads rightly. The curve is of "
        f"{CURVE_IMAGES:,} held-out images, which no network is trained on."
    )
    by_name = {runs.title(each): each for each in stored}
    look = st.selectbox("Look into", by_name) if len(by_name) > 1 else next(iter(by_name))
    one = by_name[look]
    left, right = st.columns(2)
    with left:
        layer = controls.choose(LAYER)
    with right:
        k = controls.choose(CLUSTERS)
    width = one.spec.hidden[layer - 1]
    if width < 2:
        st.info("One neuron alone cannot be clustered.")
        return
    k = min(k, width)
    found, agree = live.similarity(one.key, layer, k)
    numbers = st.columns(4)
    numbers[0].metric("Rand index", f"{found.rand:.3f}")
    numbers[1].metric(
        "Rand by chance",
        f"{found.chance_rand:.3f}",
        help=f"95 % of permuted labels: {found.chance_low:.3f} to {found.chance_high:.3f}",
    )
    numbers[2].metric("Adjusted Rand", f"{found.adjusted_rand:.3f}", help=f"p = {found.p_value:.3f} against permuted labels")
    numbers[3].metric("Never fire", f"{one.metrics.get(f'dead_{layer}', float('nan')):.0f} of {width}")
    sheet = network.neurons(
        one.weights, layer, found.incoming_labels, found.outgoing_labels, agree, int(one.metrics.get(f"dead_{layer}", 0))
    )
    controls.picture(sheet, neuron_sheet(sheet), "run-neurons", runs.command(one.spec))
    controls.downloads(one, one.key[:12], {"metrics": one.metrics})


state.enter(ALL)
st.title("Train a network and watch it learn")
said = st.container()
left, right = st.columns([1, 2], gap="large")
with left:
    start = st.container()  # above the settings, so that the curve is in view when it is pressed
    try:
        specs, refusal = chosen_specs(), None
    except ValueError as error:
        specs, refusal = [], in_words(error)
with start:
    seconds = expected_seconds(specs) if specs else None
    if st.button("Train", type="primary", icon=":material/play_arrow:", disabled=not specs, width="stretch"):
        keys = [live.queue().submit(spec, controls.submitter()).key for spec in specs]
        st.query_params["run"] = keys
        st.session_state["watching"] = True
    if refusal:
        st.error(refusal)
    if live.queue().failure:
        st.error(f"Nothing can be trained now: {live.queue().failure}")
    elif seconds:
        st.caption(f"Expected time on this machine: about {runs.duration(seconds)}, once its turn has come.")
    elif specs:
        st.caption("The workers are starting; the expected time follows.")
with right:
    keys = shown_keys(specs)
    if not keys:
        st.info("Press **Train**: the curve grows here while the network learns. Or open a finished run below.")
    elif not st.query_params.get_all("run"):
        st.caption("These settings were trained before; this is what came of them. Choose others, and press **Train**.")
    running = any(run.state not in ENDED for key in keys if (run := live.queue().get(key)))
    st.fragment(progress, run_every=0.5 if running else None)(keys)
    results(keys)

st.divider()
controls.finished(live.store().list())
with said:
    controls.damage(live.store())
