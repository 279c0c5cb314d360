"""The address bar: what it gives is taken or refused in one sentence, for every parameter of every page."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dropclust.service.parameter import Parameter

RATE = Parameter("rate", "Dropout rate", 0.4, (0.0, 0.05, 0.4, 0.9), step=0.05, show="{:.2f}".format)
WIDTH = Parameter("width", "Units", 100, low=1, high=2000, step=10)
SHARE = Parameter("share", "Share", 0.5, low=0.0, high=0.95, step=0.05)
NOISE = Parameter("noise", "Noise", "a", ("a", "b"), show={"a": "Anton", "b": "Berta"}.__getitem__)
MANY = Parameter("many", "Rate", 0.0, tuple(round(0.05 * i, 2) for i in range(19)), step=0.05, show="{:.2f}".format)


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (RATE, "0.4", 0.4), (RATE, "0.40", 0.4), (RATE, "0", 0.0), (RATE, "5e-2", 0.05), (WIDTH, "1", 1), (WIDTH, "2000", 2000),
        (SHARE, "0.95", 0.95), (SHARE, "0", 0.0), (NOISE, "Berta", "b"), (NOISE, "b", "b"),
    ],
)  # fmt: skip
def test_what_is_right_is_taken(parameter, text, value):
    found = parameter.parse(text)
    assert found == value
    assert type(found) is type(parameter.default)


@pytest.mark.parametrize(
    ("parameter", "text", "sentence"),
    [
        (RATE, "1", r"Dropout rate must be one of 0\.00, 0\.05, 0\.40, 0\.90; the address gave '1'"),
        (RATE, "-0.1", r"the address gave '-0.1'"),
        (RATE, "abc", r"the address gave 'abc'"),
        (RATE, "nan", r"the address gave 'nan'"),
        (MANY, "0.43", r"Rate must be from 0\.00 to 0\.90 in steps of 0\.05; the address gave '0\.43'"),
        (WIDTH, "0", r"Units must be from 1 to 2,000; the address gave '0'"),
        (WIDTH, "1000000", r"Units must be from 1 to 2,000"),
        (WIDTH, "1.5", r"Units must be from 1 to 2,000"),
        (SHARE, "inf", r"Share must be from 0\.0 to 0\.95"),
        (SHARE, "nan", r"Share must be from 0\.0 to 0\.95"),
        (NOISE, "loud", r"Noise must be one of Anton, Berta; the address gave 'loud'"),
        (NOISE, "x" * 500, r"the address gave 'x{40}'$"),
    ],
)
def test_what_is_wrong_costs_one_sentence(parameter, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parameter.parse(text)


@given(st.text(max_size=30))
def test_no_text_does_more_harm_than_a_sentence(text):
    for parameter in (RATE, WIDTH, SHARE, NOISE):
        with suppress(ValueError):  # any other exception would show
            found = parameter.parse(text)
            assert parameter.parse(parameter.show(found)) == found


@given(st.sampled_from([RATE, NOISE, MANY]), st.data())
def test_what_is_shown_is_read_back(parameter, data):
    option = data.draw(st.sampled_from(parameter.options))
    assert parameter.parse(parameter.show(option)) == option


def page():
    from dropclust.service.parameter import Parameter
    from dropclust.ui import controls, state

    rate = Parameter("rate", "Rate", 0.4, (0.0, 0.4, 0.9), show="{:.2f}".format)
    width = Parameter("width", "Units", 100, low=1, high=2000, step=10)
    share = Parameter("share", "Share", 0.5, low=0.0, high=0.95, step=0.05)
    kind = Parameter("kind", "Kind", "a", ("a", "b"))
    state.check([rate, width, share, kind])
    import streamlit as st

    st.json([controls.slide(rate), controls.number(width), controls.drag(share), controls.choose(kind)])


def shown(app: AppTest) -> str:
    assert not app.exception
    return app.json[0].value.replace("\n", "").replace(" ", "")


def test_each_control_takes_its_value_from_the_address():
    app = AppTest.from_function(page)
    for name, text in {"rate": "0.90", "width": "30", "share": "0.25", "kind": "b"}.items():
        app.query_params[name] = text
    app.run()
    assert shown(app) == '[0.9,30,0.25,"b"]'
    assert not app.warning


def test_each_control_shows_its_default_when_the_address_is_wrong():
    app = AppTest.from_function(page)
    for name, text in {"rate": "1", "width": "-3", "share": "abc", "kind": "c"}.items():
        app.query_params[name] = text
    app.run()
    assert shown(app) == '[0.4,100,0.5,"a"]'
    assert [warning.value for warning in app.warning] == [
        "Rate must be one of 0.00, 0.40, 0.90; the address gave '1'. Shown instead: 0.40.",
        "Units must be from 1 to 2,000; the address gave '-3'. Shown instead: 100.",
        "Share must be from 0.0 to 0.95; the address gave 'abc'. Shown instead: 0.5.",
        "Kind must be one of a, b; the address gave 'c'. Shown instead: a.",
    ]


def renamed():
    from dropclust.service.parameter import Parameter
    from dropclust.ui import controls, state

    kind = Parameter("prediction", "Kind", "a", ("a", "b"), aliases=("ways", "of"))
    state.check([kind])
    import streamlit as st

    st.json([controls.choose(kind)])


@pytest.mark.parametrize(
    ("query", "expected"),
    [({"ways": "b"}, "b"), ({"of": "b"}, "b"), ({"ways": "b", "prediction": "a"}, "a"), ({}, "a"), ({"ways": "z"}, "a")],
)
def test_an_old_name_in_the_address_still_works(query, expected):
    app = AppTest.from_function(renamed)
    for name, text in query.items():
        app.query_params[name] = text
    app.run()
    assert shown(app) == f'["{expected}"]'
    assert not {"ways", "of"} & set(app.query_params)
    assert bool(app.warning) == (query.get("ways") == "z")


ONE, OTHER = (
    """
import streamlit as st
from dropclust.ui import controls, state
from dropclust.service.parameter import Parameter
RATE = Parameter("rate", "Rate", 0.4, low=0.0, high=0.95, step=0.05)
KIND = Parameter("kind", "Kind", "a", ("a", "b"))
state.enter([RATE, KIND])
st.json([controls.drag(RATE), controls.choose(KIND)])
""",
    """
import streamlit as st
from dropclust.ui import state
from dropclust.service.parameter import Parameter
RATE = Parameter("rate", "Rate", 0.4, tuple(round(0.1 * i, 1) for i in range(10)), step=0.1, show="{:.2f}".format)
state.enter([RATE])
if st.button("Drag to 0.2"):
    state.put(RATE, 0.2)
if st.button("Drag to the default"):
    state.put(RATE, 0.4)
st.json([state.value(RATE)])
""",
)


@pytest.fixture
def two_pages(tmp_path):
    """An app of two pages: the rate is a widget on one, and what a component tells on the other."""
    (tmp_path / "one.py").write_text(ONE)
    (tmp_path / "other.py").write_text(OTHER)
    (tmp_path / "router.py").write_text(
        "import streamlit as st\nst.navigation([st.Page('one.py', default=True), st.Page('other.py')]).run()\n"
    )
    return AppTest.from_file(str(tmp_path / "router.py"), default_timeout=60).run()


def go(app: AppTest, page: str, **query: str) -> AppTest:
    app.query_params.clear()
    for name, text in query.items():
        app.query_params[name] = text
    return app.switch_page(page).run()


def test_the_rate_that_was_chosen_goes_along_to_the_next_page_and_into_its_address(two_pages):
    app = two_pages
    app.slider[0].set_value(0.7).run()
    assert shown(go(app, "other.py")) == "[0.7]"
    assert app.query_params["rate"] == "0.70"
    app.button[0].click().run()
    assert shown(go(app, "one.py")) == '[0.2,"a"]'
    assert app.query_params["rate"] == "0.2"
    app.slider[0].set_value(0.9).run()
    go(app, "other.py")
    app.button[1].click().run()
    assert shown(go(app, "one.py")) == '[0.4,"a"]'


def test_what_the_address_says_wins_and_is_what_was_chosen_then(two_pages):
    app = two_pages
    app.slider[0].set_value(0.7).run()
    assert shown(go(app, "other.py", rate="0.3")) == "[0.3]"
    assert shown(go(app, "one.py")) == '[0.3,"a"]'


def test_a_rate_that_the_next_page_does_not_have_is_left_behind(two_pages):
    app = two_pages
    app.slider[0].set_value(0.45).run()
    assert shown(go(app, "other.py")) == "[0.4]"
    assert not app.warning
    assert shown(go(app, "one.py")) == '[0.45,"a"]'


def test_what_a_widget_holds_of_the_address_stays_when_other_parameters_are_written():
    def script():
        import streamlit as st

        from dropclust.service.parameter import Parameter
        from dropclust.ui import controls, state

        noise = Parameter("noise", "Noise", "a", ("a", "b"))
        rate, step = Parameter("rate", "Rate", 0.4, (0.4, 0.5)), Parameter("step", "Step", 0, (0, 1))
        controls.choose(noise)
        with st.container():
            state.put_all({rate: 0.5, step: 0} if st.button("go") else {rate: state.value(rate), step: state.value(step)})

    app = AppTest.from_function(script, default_timeout=60)
    app.query_params |= {"noise": "b", "step": "1"}
    app.run().run()
    assert not app.exception
    app.button[0].click().run()
    assert not app.exception
    assert {name: "".join(texts) for name, texts in app.query_params.items()} == {"noise": "b", "rate": "0.5"}
