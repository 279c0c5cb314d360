"""Power law: Figure 3 made again and refitted on any range of widths, beside the controls that decide what it means."""

import streamlit as st

from dropclust.experiments import figure3, paper, results
from dropclust.ui import controls, live, power, state
from dropclust.ui.state import Parameter

ENDS = figure3.WIDTHS[0], figure3.WIDTHS[-1]
RANGE = Parameter("h", "Widths of layer 1 that are fitted", ENDS, figure3.WIDTHS)  # of two ends: checked below, as a whole
SAMPLED = Parameter(
    "sampled_rate", "Sampled with dropout", 0.5, tuple(reversed(figure3.SAMPLED_RATES)), help="In layer 1 alone."
)
OF = Parameter(
    "measure",
    "Measure",
    "MSTD",
    tuple(power.MEASURES),
    help="A network with large logits varies more by scale alone; the spread of its ten logits takes that out.",
)
RECIPE = controls.RECIPE
SHOWN = {
    training: Parameter(
        training.split(" ")[0], name[0].upper() + name[1:], True, (True, False), show=lambda on: str(on).lower()
    )
    for training, name in power.CONTROLS.items()
}
KAPPA = Parameter("kappa", "kappa", 0.7, step=0.05, low=0.05, high=0.95)
SIDE = Parameter("by", "Clusters by weights", "incoming", tuple(power.SIDES))


def law(shown: power.PowerCharts, command: str) -> None:
    """MSTD against width twice, and under it what the slopes say."""
    left, right = st.columns(2)
    with left:
        controls.chart(shown.linear, power.power_figure(shown.linear), "power-linear", command)
    with right:
        controls.chart(shown.logarithmic, power.power_figure(shown.logarithmic), "power-log", command)
    theirs = f" Paper: {paper.CITATION}, Figure 3. {power.base_note()}" if shown.linear.paper else ""
    st.caption(
        "Every network is sampled with dropout in layer 1 alone, those trained with dropout in all layers too. Open markers: "
        f"widths that are not fitted.{theirs}"
    )


def meaning(shown: power.PowerCharts, command: str) -> None:
    """Slopes with their intervals, and the verdict."""
    st.header("What does the slope mean?")
    st.markdown(f"**{shown.verdict.sentence}**")
    left, right = st.columns([2, 3])
    with left:
        controls.chart(shown.slopes, power.slopes_figure(shown.slopes), "power-slopes", command)
    with right:
        st.table(shown.verdict.table().set_index("question"))
        st.caption(
            "Intervals are Student's at 95 % over slopes fitted seed by seed; each comparison by itself, all on the widths "
            "chosen above."
        )


def clusters(shown: power.PowerCharts, command: str) -> None:
    """What clusters would give, and those that are there."""
    st.header("What would clusters predict?")
    st.markdown(
        r"Suppose $h$ neurons in $k \sim h^\kappa$ equal clusters, alike within and unrelated across. Their mean has the "
        r"variance of equation (3), $1/h + (1 - 1/h)\,P\,\sigma$, with $P$ the chance that two neurons **share a cluster**. "
        r"That is about $1/k$, so that MSTD goes as $h^{-\kappa/2}$: equation (4) **corrected**. The paper prints $k/h$, by "
        r"which more clusters would mean more company in each, and so $h^{(\kappa-1)/2}$."
    )
    left, right = st.columns(2)
    with left:
        kappa = controls.drag(KAPPA)
        predicted = power.prediction(shown.main, shown.y_title, kappa)
        controls.chart(predicted, power.prediction_figure(predicted), "power-prediction", command)
    with right:
        info = shown.counted[controls.choose(SIDE)]
        controls.chart(info, power.counted_figure(info), "power-clusters", command)
    if info.kappas:
        st.table(info.formatted())
        st.caption(
            "Clusters are counted by how well they predict held-out weights of layer 1, of 1, 2, 4, 8 and so on. Counted: the "
            "slope of log clusters on log h, seed by seed. Meant: -2 times the slope of the measure, corrected. In brackets: "
            "95 % intervals over seeds."
        )


state.enter([SAMPLED, OF, RECIPE, *SHOWN.values(), KAPPA, SIDE])
asked, above = st.query_params.get_all(RANGE.name), st.container()
st.title("Is the power law a sign of clusters?")
st.markdown(
    "Sample a network with its dropout on, and its logits vary from mask to mask: the **MSTD** is the mean of their standard "
    "deviations. The paper finds that it falls with the **width h** of the dropped layer as $h^{-0.35}$, and reads that as "
    "neurons forming clusters (section 4.3.2). Here networks that **never saw dropout** stand beside them. Drag the range to "
    "refit."
)
columns = st.columns([4, 2, 3, 2])
with columns[0]:
    low, high = controls.slide(RANGE)
    if refused := power.range_refused(asked, (low, high)):
        above.warning(refused, icon=":material/link_off:")
with columns[1]:
    rate = controls.choose(SAMPLED)
with columns[2]:
    of = controls.choose(OF)
with columns[3]:
    recipe = controls.choose(RECIPE)
drawn = [
    training
    for column, (training, each) in zip(st.columns(len(SHOWN)), SHOWN.items(), strict=True)
    if column.toggle(each.label, each.default, key=each.name, bind="query-params")
]
found = live.table(results.file_name("figure3", recipe))
if found:
    _, command = found
    shown = power.figure_3_of(recipe, rate, of, low, high).showing(drawn)
    if shown.refused:
        st.info(shown.refused)
    law(shown, command)
    if not shown.refused:
        meaning(shown, command)
    clusters(shown, command)
