"""Does it hold?: every claim of the paper with its verdict, what was not reproduced first; one opened, and measured again."""

import streamlit as st

from dropclust import experiments
from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments.claim import Verdict
from dropclust.findings import account, glossary, questions, verdicts
from dropclust.service.parameter import Parameter
from dropclust.ui import claims, controls, shell, state

ALL = "all"
RECIPES = Parameter(
    "recipes", "Recipe", "both", ("both", *MAIN_RECIPES), help="How the networks were trained; the paper does not say."
)
VERDICT = Parameter(
    "verdict", "Verdict", ALL, (ALL, *(verdict.name.lower().replace("_", " ") for verdict in verdicts.ORDER)),
    help="Control too: it holds, but the same is seen where the paper's reason is absent.",
)  # fmt: skip
EXPERIMENT = Parameter(
    "experiment", "Experiment", ALL, (ALL, *experiments.NAMES),
    show=lambda name: name if name == ALL else experiments.get(name).title,
)  # fmt: skip

state.enter([RECIPES, VERDICT, EXPERIMENT], [claims.KEY, claims.YOURS])
rows = claims.rows()
if refused := verdicts.refused(st.query_params.get_all(claims.KEY), rows):
    st.warning(refused, icon=":material/link_off:")
    state.drop(claims.KEY)
st.title(questions.CLAIMS, anchor=False, help=glossary.explained("recipe"))
headline = st.container()
recipes = list(MAIN_RECIPES) if (of := controls.choose(RECIPES)) == "both" else [of]
headline.markdown(said := verdicts.headlines(rows, recipes))
shell.say(said)
picture = st.container()
row = claims.choose(verdicts.worst_first(rows))
if row is not None:
    claims.opened(verdicts.chosen([row], recipes)[0])
else:
    kept = [RECIPES, VERDICT, EXPERIMENT]
    with picture:
        claims.tiles(verdicts.worst_first(verdicts.chosen(rows, recipes)), kept)
    missed = account.not_reproduced(rows)
    if missed:
        with st.expander("**What was not reproduced**", expanded=True):
            st.markdown("\n".join(f"- {sentence}" for sentence in missed))
    with st.expander("**How it is judged**"):
        st.markdown(f"{verdicts.summary(rows, recipes)} {verdicts.HOW} {verdicts.tested(rows)}")
    left, right = st.columns(2)
    with left:
        verdict = controls.choose(VERDICT)
    with right:
        experiment = controls.choose(EXPERIMENT)
    name = "" if experiment == ALL else experiment
    wanted = list(Verdict) if verdict == ALL else [Verdict[verdict.upper().replace(" ", "_")]]
    claims.table(verdicts.worst_first(verdicts.chosen(rows, recipes, wanted, name)), kept)
    claims.printed(rows)
    claims.words_of_the_paper()
