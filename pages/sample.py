"""Sample or scale: Figure 1 made again with paired intervals, and any network's masks beside what ever more of them give."""

import streamlit as st

from dropclust.core.convergence import MASKS as NUMBERS
from dropclust.core.spec import NOISES
from dropclust.experiments import table2
from dropclust.experiments.figure1 import EXPERIMENT
from dropclust.findings import glossary
from dropclust.findings.figure1 import METRICS, noise_name
from dropclust.findings.reliability import CALIBRATION_ERROR
from dropclust.service.parameter import Parameter, within
from dropclust.ui import controls, digit, live, sample, state

NOISE = Parameter("noise", "Noise", "bernoulli", tuple(NOISES), show=noise_name)
METRIC = Parameter(
    "metric",
    "Measured by",
    "accuracy",
    tuple(METRICS),
    show=lambda name: METRICS[name].name,
    help="Cross-entropy: minus the log-probability given to the right class, on average. Brier score: squared distance of the "
    f"probabilities from the truth, on average. Expected calibration error: {CALIBRATION_ERROR}",
)
ASK = Parameter("guess", "Guess first", "on", ("on", "off"))
DROP = Parameter(
    "drop",
    "Masks on",
    sample.AS_TRAINED,
    (sample.AS_TRAINED, sample.ALL_LAYERS, sample.LAST_LAYER),
    help="On the last hidden layer alone everything has an exact value. Rates it was not trained with are a control.",
)
RATE = Parameter("rate", "Dropout rate", 0.4, step=0.05, **within("dropout"))
MASKS = Parameter("masks", "Masks in these charts", 50, NUMBERS)

state.enter([controls.RECIPE, NOISE, METRIC, ASK, DROP, RATE, MASKS], ["run"])
digit.forward()
st.title(EXPERIMENT.question, anchor=False, help=glossary.explained("mask", "sampled", "scaled"))
headline = st.container()
metric = controls.choose(METRIC)
pictures = st.container()
left, middle, _ = st.columns([2, 2, 3])
with left:
    recipe = controls.choose(controls.RECIPE)
with middle:
    noise = controls.choose(NOISE)
sample.experiment(recipe, noise, metric, ASK, headline, pictures)
st.header("One network, mask by mask")
recipe = state.chosen("recipe", controls.RECIPE.default)
listed = live.store().list()
usual = table2.shown_spec(RATE.default, recipe).key  # not of the rate chosen elsewhere: here that is the masks'
if usual not in {summary.key for summary in listed}:
    usual = table2.shown_spec(RATE.default).key
run = controls.choose_run(listed, usual)
if run is not None:
    if (stored := live.stored(run.key)) is None:
        st.warning(f"The run {run.key[:12]} cannot be read: choose another.", icon=":material/healing:")
    else:
        sample.one_network(run.key, stored.spec, DROP, RATE, MASKS)
