"""Power law: Figure 3 made again and refitted on any range of widths, beside the controls that decide what it means."""

import streamlit as st

from dropclust.experiments import figure3
from dropclust.experiments.results import ResultError
from dropclust.findings import figure3 as findings
from dropclust.findings import glossary, verdicts, words
from dropclust.service.parameter import Parameter
from dropclust.ui import claims, controls, live, power, state
from dropclust.ui.figures import figure3 as figures

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
if refused := findings.range_refused(st.query_params.get_all(RANGE.name), ENDS):
    st.warning(refused, icon=":material/link_off:")
    state.drop(RANGE.name)
st.title(figure3.EXPERIMENT.question, anchor=False, help=glossary.explained("MSTD", "sampled"))
headline = st.container()
low, high = controls.slide(RANGE)
pictures = st.container()
columns = st.columns([2, 3, 2])
with columns[0]:
    rate = controls.choose(SAMPLED)
with columns[1]:
    measure = controls.choose(MEASURE)
with columns[2]:
    recipe = controls.choose(RECIPE)
with st.container(horizontal=True):
    drawn = tuple(
        training
        for training, each in SHOWN.items()
        if st.toggle(each.label, each.default, key=each.name, bind="query-params", width="content")
    )
try:
    shown = live.said(figure3.EXPERIMENT.name, recipe, rate=rate, measure=measure, low=low, high=high, controls=drawn)
except ResultError as error:
    st.error(f"{words.capital(str(error))}.")
    st.stop()
if shown.refused:
    headline.info(shown.refused)
else:
    headline.markdown(shown.headline)
with pictures:
    power.law(shown)
controls.further("On linear axes?", shown.linear, figures.power, "power-linear", shown.command)


def meaning() -> None:
    """What the slope means, and the verdict of the claim that there is a law."""
    power.meaning(shown, verdicts.claim_said(claims.rows(), findings.STRAIGHT.key, recipe))


if not shown.refused:
    controls.fold("**What does the slope mean?**", "meaning", meaning)
asked = {KAPPA.name, WEIGHTS.name} & set(st.query_params)
controls.fold("**What would clusters predict?**", "clusters", lambda: power.clusters(shown, KAPPA, WEIGHTS), bool(asked))
with st.expander("**How it is measured**"):
    power.measured(shown)
