"""Sample or scale: Figure 1 made again with paired intervals, and any network's masks beside what ever more of them give."""

import streamlit as st

from dropclust.core.convergence import MASKS as NUMBERS
from dropclust.core.spec import NOISES
from dropclust.experiments import table2
from dropclust.experiments.figure1 import EXPERIMENT
from dropclust.findings.figure1 import METRICS, noise_name
from dropclust.findings.reliability import CALIBRATION_ERROR
from dropclust.ui import controls, digit, live, sample, state
from dropclust.ui.state import Parameter, within

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
st.title("Sample or scale?")
st.markdown(
    "Dropout trains a network of many masks. To predict, one can **sample** it: draw masks and take the geometric mean of "
    "the probabilities that they give (section 3.1), which is meant by *sampled* on this page; or **scale** it: replace every "
    f"mask by its mean, once. The paper finds sampling generally better. {EXPERIMENT.question}"
)
controls.damage(live.store())
st.header(f"{EXPERIMENT.title}, made again")
recipe_column, noise_column, metric_column = st.columns(3)
with recipe_column:
    recipe = controls.choose(controls.RECIPE)
with noise_column:
    noise = controls.choose(NOISE)
with metric_column:
    metric = controls.choose(METRIC)
sample.experiment(recipe, noise, metric, ASK)
st.header("One network, mask by mask")
st.caption(
    "From here on everything is of the one network chosen here, with the recipe and noise that it was trained with. What is "
    f"chosen above is of {EXPERIMENT.title} alone."
)
run = controls.choose_run(live.store().list(), table2.shown_spec(0.4).key)
if run is not None:
    if (stored := live.store().get(run.key)) is None:
        st.warning(f"The run {run.key[:12]} cannot be read: choose another.", icon=":material/healing:")
    else:
        sample.one_network(run.key, stored.spec, DROP, RATE, MASKS)
