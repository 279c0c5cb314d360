"""Blocks of the page that judges the paper's claims: the table of all, one claim opened, its seeds measured again, words."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import streamlit as st

from dropclust import experiments
from dropclust.experiments import results
from dropclust.experiments.claim import Claim
from dropclust.experiments.experiment import Settings
from dropclust.findings import forest, glossary, verdicts, words
from dropclust.findings.verdicts import Finding, Row
from dropclust.service import fresh
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, live, report
from dropclust.ui.figures import claims as figures

KEY = "claim"  # in the address: which one is open
PAGES = {
    "figure1": "sample", "table1": "batch", "figure2": "variance",
    "table2": "similar", "figure3": "power", "table3": "compress", "onset": "onset",
}  # fmt: skip
YOURS = "yours"  # in the address: which own measurement


def rows() -> list[Row]:
    """Every claim, judged once for all viewers until a table changes."""
    return _rows(results.stamp())


def choose(found: list[Row]) -> Row | None:
    """The claim that is open, held by the address; None for the table of all."""
    listed = {row.claim.key: row for row in found}
    statements = {key: f"{row.number}. {row.claim.statement}" for key, row in listed.items()}
    unknown, instead = (lambda key: f"No claim is called {key[:60]!r}"), "All of them, in the table below"
    return listed.get(controls.one_of("Open a claim", statements, KEY, None, unknown, instead, (YOURS,)))


def tiles(found: list[Row], kept: Sequence[Parameter]) -> None:
    """All claims at a glance, a tile each, which opens it."""
    keys, recipes = tuple(row.claim.key for row in found), tuple(found[0].findings)
    st.html(_drawn(results.stamp(), keys, recipes, _address(kept), True))


def table(found: list[Row], kept: Sequence[Parameter]) -> None:
    """All claims, a row each; its statement opens it, in an address that keeps what these parameters hold."""
    if not found:
        st.info("No claim has this verdict here.")
        return
    keys, recipes = tuple(row.claim.key for row in found), tuple(found[0].findings)
    st.html(_drawn(results.stamp(), keys, recipes, _address(kept), False))
    st.caption(figures.KEY)


def _address(kept: Sequence[Parameter]) -> str:
    return urlencode([(each.name, text) for each in kept for text in st.query_params.get_all(each.name)])


def opened(row: Row) -> None:
    """One claim: what became of it under each recipe, with intervals, rows, command, and seeds of the viewer's own."""
    claim = row.claim
    st.header(claim.statement)
    experiment = experiments.get(claim.experiment)
    st.markdown(f"{words.capital(claim.place)}. It asks for **{verdicts.requirement(claim)}**. {claim.reason}")
    st.markdown(f"[{experiment.title}, all of it, on its own page]({PAGES[claim.experiment]})")
    for recipe, finding in row.findings.items():
        st.subheader(
            f"{verdicts.SHAPES[finding.verdict]} {words.capital(verdicts.recipe_name(recipe))}: {finding.verdict.value}"
        )
        if finding.judged.why:
            st.info(f"{words.capital(finding.judged.why)}.")
        else:
            _judged(verdicts.with_choices(finding))
    if claim.per == "seed":
        yourself(row, experiment.title)


def _judged(finding: Finding) -> None:
    claim, recipe = finding.claim, finding.recipe
    own = verdicts.own(claim, recipe, live.fresh_runs().root)
    info = forest.forest(finding, own)
    controls.chart(info, figures.forest, f"forest-{recipe}", finding.command)
    with st.expander(
        f"The {words.count(len(finding.values()), 'value')} behind it, a {claim.per} each", icon=":material/list:"
    ):
        values = finding.values()
        st.download_button(
            "CSV", values.to_csv(index=False), f"{claim.key}-{recipe}.csv", "text/csv", key=f"values-{recipe}",
            on_click="ignore", icon=":material/download:",
        )  # fmt: skip
        st.table(values.round(4))


def yourself(row: Row, title: str) -> None:
    """Measure a claim again with seeds nobody looked at, on this machine's workers."""
    st.header("Run it yourself")
    st.markdown(
        f"Train the networks of {title} again with **seeds that nobody has looked at**. What they say is shown above, beside "
        "the shipped seeds, and replaces nothing."
    )
    left, middle, right = st.columns(3)
    with left:
        recipe = st.segmented_control(
            "Recipe", list(row.findings), default=next(iter(row.findings)), format_func=verdicts.recipe_name, key="own_recipe",
            required=True,
        )  # fmt: skip
    with middle:
        seeds = st.number_input("Seeds", *fresh.SEEDS, 3, key="own_seeds")
    with right:
        full = st.toggle("The full grid", key="own_full", help="As many settings and images as the shipped tables have.")
    settings = Settings(recipe, int(seeds), not full, first_seed=fresh.FIRST_SEED)
    st.caption(fresh.expected(row.claim.experiment, settings, live.calibration(), live.queue().workers))
    if live.queue().failure:
        said = f"Nothing can be measured now: {live.queue().failure} Press **Measure** to try again."
        st.error(said, icon=":material/error:")
    if st.button("Measure", type="primary", icon=":material/play_arrow:"):
        asked = live.fresh_runs().start(row.claim.experiment, recipe, int(seeds), not full)
        st.query_params[YOURS] = asked.key
    key = st.query_params.get(YOURS)
    if key is not None:
        run = live.fresh_runs().get(key)
        active = run is not None and run.state not in fresh.ENDED
        st.fragment(_progress, run_every=1.0 if active else None)(key, row.claim)


def _progress(key: str, claim: Claim) -> None:
    """How far an own measurement is; when it ends, the page around shows what came of it."""
    run = live.fresh_runs().get(key)
    if run is None:
        st.warning(
            f"No measurement {key[:40]} is known here. One that a restart of the server ended goes on where it was when it is "
            "started again.", icon=":material/link_off:",
        )  # fmt: skip
        return
    active = run.state not in fresh.ENDED
    if active:
        st.session_state["own_watched"] = key
        st.progress(run.done / run.total if run.total else 0.0, run.standing)
        if st.button("Stop", icon=":material/stop_circle:", help="Keeps what was measured so far.", key="own_stop"):
            live.fresh_runs().stop(key)
            st.rerun(scope="fragment")
    elif run.state == "done":
        own = verdicts.own(claim, run.settings.recipe, live.fresh_runs().root)
        if any(each.first_seed == run.settings.first_seed for each in own):
            st.success(f"{run.name}: done. It stands above, beside the shipped seeds.", icon=":material/check:")
        else:
            more = "The full grid, or more seeds, may." if run.settings.quick else "More seeds may."
            st.info(f"{run.name}: done, but these rows cannot judge this claim. {more}", icon=":material/info:")
    else:
        st.warning(f"{run.name}: {run.state}. {run.message}", icon=":material/error:")
    if not active and st.session_state.get("own_watched") == key:
        del st.session_state["own_watched"]
        st.rerun()


def words_of_the_paper() -> None:
    """The paper's symbols and words beside the code's."""
    folded = st.expander(
        "The paper's symbols and words, and the code's", icon=":material/dictionary:", key="words-of-the-paper",
        on_change="rerun",
    )  # fmt: skip
    if folded.open:
        with folded:
            st.table(glossary.table().set_index("term"))


def printed(found: list[Row]) -> None:
    """The report to print."""
    st.download_button(
        "A report to print", lambda: report.html(found), "dropclust-claims.html", "text/html", key="report", on_click="ignore",
        icon=":material/print:",
    )  # fmt: skip


@st.cache_data(show_spinner=False, max_entries=100)
def _drawn(stamp: tuple[int, int], keys: tuple[str, ...], recipes: tuple[str, ...], address: str, small: bool) -> str:
    found = {row.claim.key: row for row in verdicts.chosen(_rows(stamp), recipes)}

    def link(key: str) -> str:
        return f"?{address}{'&' if address else ''}{urlencode({KEY: key})}"

    css, draw = (figures.TILES, figures.tiles) if small else (figures.CSS, figures.table)
    return f"<style>{css}</style>{draw([found[key] for key in keys], link)}"


@st.cache_resource(show_spinner="Judging every claim", max_entries=2)
def _rows(stamp: tuple[int, int]) -> list[Row]:
    return verdicts.rows(with_variations=False)
