"""Power law: Figure 3 made again and refitted on any range of widths, beside the controls that decide what it means."""

import streamlit as st

from dropclust.experiments import figure3
from dropclust.experiments.results import ResultError
from dropclust.findings import figure3 as findings
from dropclust.findings import words
from dropclust.ui import controls, power, state
from dropclust.ui.state import Parameter

ENDS = figure3.WIDTHS[0], figure3.WIDTHS[-1]
RANGE = Parameter("h", "Widths of layer 1 that are fitted", ENDS, figure3.WIDTHS)  # of two ends: checked below, as a whole
SAMPLED = Parameter(
    "sampled_rate", "Sampled with dropout", 0.5, tuple(reversed(figure3.SAMPLED_RATES)), help="In layer 1 alone."
)
MEASURE = Parameter(
    "measure",
    "Measure",
    "MSTD",
    tuple(findings.MEASURES),
    help="A network with large logits varies more by scale alone; the spread of its ten logits takes that out.",
)
RECIPE = controls.RECIPE
SHOWN = {
    training: Parameter(training.split(" ")[0], words.capital(name), True, (True, False), show=lambda on: str(on).lower())
    for training, name in findings.CONTROLS.items()
}
KAPPA = Parameter("kappa", "kappa", 0.7, step=0.05, low=0.05, high=0.95)
WEIGHTS = Parameter("by", "Clusters by weights", "incoming", tuple(findings.SIDES))

state.enter([SAMPLED, MEASURE, RECIPE, *SHOWN.values(), KAPPA, WEIGHTS], [RANGE.name])
if refused := power.range_refused(st.query_params.get_all(RANGE.name), ENDS):
    st.warning(refused, icon=":material/link_off:")
    state.drop(RANGE.name)
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
with columns[1]:
    rate = controls.choose(SAMPLED)
with columns[2]:
    measure = controls.choose(MEASURE)
with columns[3]:
    recipe = controls.choose(RECIPE)
drawn = [
    training
    for column, (training, each) in zip(st.columns(len(SHOWN)), SHOWN.items(), strict=True)
    if column.toggle(each.label, each.default, key=each.name, bind="query-params")
]
try:
    shown = power.found(recipe, rate, measure, low, high).showing(drawn)
except ResultError as error:
    st.error(f"{words.capital(str(error))}.")
    st.stop()
if shown.refused:
    st.info(shown.refused)
power.law(shown)
if not shown.refused:
    st.header("What does the slope mean?")
    power.meaning(shown)
st.header("What would clusters predict?")
st.markdown(
    r"Suppose $h$ neurons in $k \sim h^\kappa$ equal clusters, alike within and unrelated across. Their mean has the "
    r"variance of equation (3), $1/h + (1 - 1/h)\,P\,\sigma$, with $P$ the chance that two neurons **share a cluster**. "
    r"That is about $1/k$, so that MSTD goes as $h^{-\kappa/2}$: equation (4) **corrected**. The paper prints $k/h$, by "
    r"which more clusters would mean more company in each, and so $h^{(\kappa-1)/2}$."
)
left, right = st.columns(2)
with left:
    power.predicted(findings.prediction(shown.main, shown.y_title, controls.drag(KAPPA)), shown.command)
with right:
    weights = controls.choose(WEIGHTS)
    power.counted(shown, weights)
power.exponents(shown, weights)
