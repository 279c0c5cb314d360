"""Explore: drag the dropout rate and watch neurons become copies, Rand leave its chance band, accuracy bend."""

import contextlib

import streamlit as st

from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments import paper, results, table2
from dropclust.experiments.experiment import Settings
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
RECIPE = controls.RECIPE
SEED = Parameter(
    "shown_seed",
    "Seed",
    table2.SHOWN_SEED,
    low=0,
    high=Settings().seeds - 1,
    step=1,
    typed=True,
    help="Whose neurons are drawn; the curves are of all.",
)
ASKED_RATE = 0.5


def ask(answer: charts.Curves) -> bool:
    """Ask for a guess before the answer is shown, once a session; says whether the question is still open."""
    if "guessed" in st.session_state or state.value(ASK) == "off":
        return False
    rand, chance = answer.series
    with st.container(border=True):
        st.markdown(
            f"**Guess first.** {recipe.capitalize()} recipe, layer {layer}, {k} clusters: without dropout the Rand index of "
            f"the two clusterings is **{rand.at(0.0).mean:.2f}**; chance alone gives {chance.at(0.0).mean:.2f}, and equal "
            f"clusterings give 1. Where will it be at dropout {ASKED_RATE:g}?"
        )
        where, yes, no = st.columns([4, 2, 1], vertical_alignment="bottom")
        value = where.slider("Rand index that I expect", 0.5, 1.0, 0.75, 0.01)
        if yes.button("That is my guess", type="primary", width="stretch"):
            live.guesses(recipe, layer, k).add(value)
            st.session_state["guessed"] = (recipe, layer, k), value
            st.rerun()
        if no.button("Skip", width="stretch"):
            st.session_state["guessed"] = None, None
            st.rerun()
    return True


def answered(answer: charts.Curves) -> None:
    """The guess that was made of what is shown, beside the answer: a line, and the rest a click away."""
    question, value = st.session_state.get("guessed", (None, None))
    if question != (recipe, layer, k):
        return
    rand, chance = (line.at(ASKED_RATE).mean for line in answer.series)
    info = guess.compare(f"Rand index at dropout {ASKED_RATE:g}", value, rand, chance, live.guesses(*question).others(value))
    with st.popover(f"You expected {value:.2f}; it is {rand:.2f}", icon=":material/lightbulb:"):
        st.plotly_chart(guess.compared_figure(info), key="guess", alt=info.sentence, config={"displayModeBar": False})
        st.caption(info.sentence)


def still(rate: float, command: str) -> None:
    """The neurons of one rate as a still picture, for browsers that cannot run the explorer."""
    stored = live.network(table2.shown_spec(rate, recipe, seed).key)
    if stored is None:
        return
    every = live.neurons(recipe, seed, layer, k)
    part = every[every["dropout"].round(4) == rate].sort_values("neuron")
    sheet = charts.neurons(
        stored.weights, layer, part["incoming"], part["outgoing"], part["agree"] == 1, int(part["dead"].sum())
    )
    controls.picture(sheet, charts.neuron_sheet(sheet), "neurons", command)


def plain(rate: float, names: list[str], command: str) -> None:
    """The curves of all seeds, which need no network."""
    for column, name in zip(st.columns(len(names)), names, strict=True):
        info = getattr(shown, name)
        with column:
            controls.chart(info, charts.curves(info.marked(rate)), name, command)


def drawn() -> explorer.Scene | None:
    """What the explorer shows; where that is not there, what can be done about it."""
    if not live.table(results.file_name("table2-neurons", recipe)):
        return None
    try:
        return live.scene(recipe, seed, layer, k)
    except LookupError:
        offer()
    except FileNotFoundError as error:
        st.warning(f"The neurons of seed {seed} cannot be looked at: {error}", icon=":material/image_not_supported:")
    return None


def compared() -> str:
    """What every recipe's table says, in one sentence; one that cannot be read is left out."""
    told = {}
    for name in sorted(MAIN_RECIPES, key=lambda name: name != recipe):
        with contextlib.suppress(results.ResultError):
            told[name] = live.table_2(name, layer, k, table2.HIDDEN[layer - 1]).adjusted
    return charts.by_recipe(told)


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
    "**Dropout** switches hidden units, the **neurons**, off at random while a network learns: here MNIST's digits, with "
    f"{'-'.join(map(str, table2.shown_spec(0.0).widths))} units. The paper says that they become **copies**: cluster a "
    "layer by its neurons' incoming weights, and again by their outgoing ones, and the two clusterings agree more the higher "
    "the rate. The **Rand index** is the share of pairs of neurons that both clusterings treat alike, together or apart. Much "
    "of it is chance; **adjusted Rand** takes that out: 0 is chance, 1 is equal."
)
controls.damage(live.store())
columns = st.columns([11, 15, 14, 9, 19], vertical_alignment="bottom")
with columns[0]:
    layer = controls.choose(LAYER)
with columns[1]:
    k = controls.choose(CLUSTERS)
with columns[2]:
    recipe = controls.choose(RECIPE)
with columns[3], st.popover("More", icon=":material/tune:"):
    seed = controls.number(SEED)
    as_plain = controls.choose(PLAIN) == "on"
if seed is None or not SEED.low <= seed <= SEED.high:
    st.warning(
        f"{SEED.label} must be a whole number from {SEED.low} to {SEED.high}; got {seed}. Shown instead: {SEED.default}.",
        icon=":material/pin:",
    )
    seed = SEED.default
found = live.table(results.file_name("table2", recipe))
if found:
    shown = live.table_2(recipe, layer, k, table2.HIDDEN[layer - 1])
    with columns[4]:
        answered(shown.rand)
    still_open = ask(shown.rand)
    scene = drawn()
    if scene and not as_plain:
        rate = state.value(RATE)
        index = explorer.explorer(scene, scene.rates.index(rate), "explorer", still_open)
        state.put(RATE, scene.rates[index])
        if not still_open:
            st.markdown(f"{scene.readings[index].sentence} {compared()}")
            numbers = controls.side_by_side([shown.rand, shown.adjusted, shown.accuracy])
            st.caption(f"{numbers.sentence} Paper: {paper.CITATION}.")
            controls.behind(numbers, "explore", found[1])
    else:
        rate = controls.slide(RATE)
        if scene:
            still(rate, found[1])
        plain(rate, ["accuracy"] if still_open else ["rand", "adjusted", "accuracy"], found[1])
        if not still_open:
            st.markdown(compared())
            st.caption(f"Paper: {paper.CITATION}.")

live.queue()
live.settle()
