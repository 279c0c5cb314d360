"""Explore: drag the dropout rate and watch neurons become copies, Rand leave its chance band, accuracy bend."""

import streamlit as st

from dropclust.core.spec import RECIPES
from dropclust.experiments import paper, table2
from dropclust.experiments.experiment import Settings
from dropclust.service import results
from dropclust.service.jobs import ENDED
from dropclust.ui import charts, controls, explorer, guess, live, runs, state
from dropclust.ui.state import Parameter

RATE = Parameter("rate", "Dropout rate", 0.4, table2.RATES, step=0.05, show="{:.2f}".format)
LAYER = Parameter("layer", "Hidden layer", 1, table2.LAYERS)
CLUSTERS = Parameter(
    "k", "Clusters", 10, table2.CLUSTERS, help="k of k-means. The paper does not state its own, and the Rand index hangs on it."
)
ASK = Parameter("guess", "Guess first", "on", ("on", "off"))
PLAIN = Parameter("plain", "Plain slider", "off", ("off", "on"))
RECIPE = Parameter("recipe", "Recipe", "modern", tuple(RECIPES), help="How the networks were trained; see the README.")
SEED = Parameter(
    "seed",
    "Seed",
    table2.SHOWN_SEED,
    low=0,
    high=Settings().seeds - 1,
    step=1,
    help="Whose neurons are drawn; the curves are of all.",
)
ASKED_RATE = 0.5


def ask(answer: charts.Curves) -> bool:
    """Ask for a guess before the answer is shown, then show them together; says whether it is still open."""
    rand, chance = answer.series
    now = st.session_state.get("guessed", "open" if state.value(ASK) == "on" else None)
    if now == "open":
        with st.container(border=True):
            st.markdown(
                f"**Guess first.** Cluster the neurons of layer {layer} by what comes in, and again by what goes out. Without "
                f"dropout the Rand index of the two is **{rand.at(0.0).mean:.2f}**: chance alone gives "
                f"{chance.at(0.0).mean:.2f}, and equal clusterings give 1. Where will it be at dropout {ASKED_RATE:g}?"
            )
            value = st.slider("Rand index that I expect", 0.5, 1.0, 0.75, 0.01)
            yes, no, _ = st.columns([2, 1, 3])
            if yes.button("That is my guess", type="primary", width="stretch"):
                live.guesses().add(value)
                st.session_state["guessed"] = value
                st.rerun()
            if no.button("Skip", width="stretch"):
                st.session_state["guessed"] = None
                st.rerun()
        return True
    if "guessed" in st.session_state:
        others = live.guesses().all()[:-1] if now is not None else live.guesses().all()
        info = guess.compare(
            f"Rand index at dropout {ASKED_RATE:g}", now, rand.at(ASKED_RATE).mean, chance.at(ASKED_RATE).mean, others
        )
        controls.chart(info, guess.compared_figure(info), "guess")
    return False


def plain(rate: float, open_: bool) -> None:
    """The neurons of one rate as a still picture, and the curves, for browsers that cannot run the explorer."""
    stored = live.store().get(table2.shown_spec(rate, recipe, seed).key)
    every = live.neurons(recipe, seed, layer, k)
    part = every[every["dropout"].round(4) == rate].sort_values("neuron")
    sheet = charts.neurons(
        stored.weights, layer, part["incoming"], part["outgoing"], part["agree"] == 1, int(part["dead"].sum())
    )
    controls.picture(sheet, charts.neuron_sheet(sheet), "neurons", command)
    names = ["accuracy"] if open_ else ["rand", "adjusted", "accuracy"]
    for column, name in zip(st.columns(len(names)), names, strict=True):
        info = getattr(shown, name)
        with column:
            controls.chart(info, charts.curves(info.marked(rate)), name, command)


def offer() -> None:
    """What is not stored here is one click to train."""
    absent = live.missing(recipe, seed)
    waiting = [run for spec in absent if (run := live.queue().get(spec.key)) and run.state not in ENDED]
    speed = live.calibration()
    about = f", about {runs.duration(sum(map(speed.seconds, absent)) / live.queue().workers)}" if speed else ""
    st.info(f"{len(absent)} of the {len(table2.RATES)} networks of seed {seed} under the {recipe} recipe are not stored here.")
    if waiting:
        st.fragment(watch, run_every=0.5)()
    elif st.button(f"Train them{about}", type="primary", icon=":material/play_arrow:"):
        for spec in absent:
            live.queue().submit(spec, controls.submitter())
        st.rerun()


def watch() -> None:
    """How many of the missing networks are trained by now."""
    left = len(live.missing(recipe, seed))
    st.progress(1 - left / len(table2.RATES), f"{len(table2.RATES) - left} of {len(table2.RATES)} networks are trained.")
    if not left:
        st.rerun()


state.enter([RATE, LAYER, CLUSTERS, RECIPE, SEED, ASK, PLAIN])
st.title("Do neurons become copies of each other?")
st.markdown(
    "**Dropout** switches hidden neurons off at random while a network learns. The paper says that the others answer by "
    "becoming **copies**: cluster a layer's neurons by what comes in, cluster them again by what goes out, and the two "
    "clusterings agree more than chance allows. Drag the rate and see."
)
controls.damage(live.store())
columns = st.columns([1, 1, 2])
with columns[0]:
    layer = controls.choose(LAYER)
with columns[1]:
    k = controls.choose(CLUSTERS)
with columns[2], st.popover("Recipe, seed, plain slider", icon=":material/tune:"):
    recipe = controls.choose(RECIPE)
    seed = controls.number(SEED)
    as_plain = controls.choose(PLAIN) == "on"
found = live.table(results.file_name("table2", recipe))
listed = live.table(results.file_name("table2-neurons", recipe))
scene = None
if found and listed:
    try:
        scene = live.scene(recipe, seed, layer, k)
    except LookupError:
        offer()
if found and scene is not None:
    _, command = found
    shown = live.table_2(recipe, layer, k, table2.HIDDEN[layer - 1])
    still_open = ask(shown.rand)
    if as_plain:
        rate = controls.slide(RATE)
        plain(rate, still_open)
    else:
        rate = state.value(RATE)
        index = explorer.explorer(scene, scene.rates.index(rate), "explorer", still_open)
        state.put(RATE, scene.rates[index])
        if not still_open:
            st.markdown(scene.readings[index].sentence)
            numbers = controls.side_by_side([shown.rand, shown.adjusted, shown.accuracy])
            st.caption(f"{numbers.sentence} Paper: {paper.CITATION}.")
            controls.behind(numbers, "explore", command)

live.queue()
live.settle()
