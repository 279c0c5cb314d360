"""A run as a value: its door, its text and its name."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core.spec import LIMITS, MAIN_RECIPES, NOISES, PRECISIONS, RECIPES, VARIANTS, RunSpec

DEFAULT = (
    '{"batch_size":128,"dropout":[0.4,0.4,0.4],"examples":320000,"hidden":[100,100,100],"noise":"bernoulli",'
    '"precision":"float32","recipe":"modern","seed":0,"train_size":55000}'
)
OTHER = (
    '{"batch_size":16,"dropout":[0.0,0.25,0.9],"examples":5000,"hidden":[700,1,30],"noise":"dropconnect",'
    '"precision":"bfloat16","recipe":"paper","seed":2147483647,"train_size":100}'
)
LITERALS = [
    (RunSpec(), DEFAULT, "0c9fea0ec93ece6eafa540fd843a667ef00de11fad267816e7ac61d80048d369"),
    (
        RunSpec((700, 1, 30), (0, 0.25, 0.9), "dropconnect", 16, 5000, 100, "paper", 2**31 - 1, "bfloat16"),
        OTHER,
        "26996fbb408cfb833b503b5206b07b1d28fae3bcbc21e0e591a10ebb1c959f35",
    ),
    (
        RunSpec(train_size=10_000, subset_seed=3),
        DEFAULT.replace('"train_size":55000', '"subset_seed":3,"train_size":10000'),
        "7121eb08fd03ad547caf737d9f4f605a64d735e0a0d0a7168b935496c3d33ef0",
    ),
    (
        RunSpec(dropout=(0, 0, 0), schedule=((1250, (0.5, 0.5, 0.5)), (2499, (0.5, 0, 0.25)))),
        DEFAULT.replace("[0.4,0.4,0.4]", "[0.0,0.0,0.0]").replace(
            '"seed"', '"schedule":[[1250,[0.5,0.5,0.5]],[2499,[0.5,0.0,0.25]]],"seed"'
        ),
        "fb0124cbd2d512ca8ffebfdbb75371ffdb0ecc9280ff168e9f09df238523186e",
    ),
]

WHOLE = {
    "batch_size": "batch_size must be a whole number from 1 to 4,096; got {}",
    "examples": "examples must be a whole number from 1 to 3,000,000; got {}",
    "train_size": "train_size must be a whole number from 100 to 55,000; got {}",
    "seed": "seed must be a whole number from 0 to 2,147,483,647; got {}",
}
UNITS = "hidden must be a whole number from 1 to 2,000; got {}"
RATES = "dropout must be rates from 0 to 0.95; got {}"
THREE_UNITS = "hidden must be three numbers, one a hidden layer; got {}"
THREE_RATES = "dropout must be three numbers, one a hidden layer; got {}"
BAD = [
    *((name, value, sentence.format(repr(value)))
      for name, sentence in WHOLE.items() for value in (-1, 10**7 if name != "seed" else 2**31, 1.5, 128.0, "128", None, True)),
    ("batch_size", 0, WHOLE["batch_size"].format(0)),
    ("examples", 0, WHOLE["examples"].format(0)),
    ("train_size", 99, WHOLE["train_size"].format(99)),
    ("train_size", 55_001, WHOLE["train_size"].format(55001)),
    *(("hidden", (100, value, 100), UNITS.format(repr(value))) for value in (0, -3, 10**6, 2_001, 10.0, "10", None, True)),
    *(("dropout", (0.4, value, 0.4), RATES.format(repr(value)))
      for value in (1, 1.0, -0.1, 0.9500001, float("nan"), float("inf"), 10**400, "abc", "0.4", None, True, 1j)),
    *(("hidden", value, THREE_UNITS.format(repr(value))) for value in (100, (100, 100), (1, 2, 3, 4), (), "100", None)),
    *(("dropout", value, THREE_RATES.format(repr(value))) for value in (0.4, (0.4, 0.4), [0.1] * 4, "0.4", "abc", None)),
    *(("noise", value, f"noise must be one of bernoulli, gaussian, dropconnect; got {value!r}")
      for value in ("uniform", "", "Bernoulli", None, 0, ["bernoulli"])),
    *(("recipe", value, f"recipe must be one of {', '.join(RECIPES)}; got {value!r}") for value in ("old", None, ["paper"])),
    *(("precision", value, f"precision must be one of float32, bfloat16; got {value!r}") for value in ("float16", 32, {})),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "sentence"), BAD, ids=lambda value: repr(value)[:40])
def test_a_bad_value_is_refused_in_one_sentence(field: str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        RunSpec(**{field: value})
    assert str(caught.value) == sentence


def test_a_recipe_is_its_sentence_and_the_main_ones_come_first() -> None:
    assert tuple(RECIPES)[:2] == MAIN_RECIPES == tuple(VARIANTS) == ("modern", "paper")
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert str(recipe) == recipe.sentence
        assert recipe.optimiser in ("adam", "sgd_sum")
        assert recipe.initialisation in ("he", "glorot")


@pytest.mark.parametrize("main", MAIN_RECIPES)
def test_a_variant_changes_one_choice_of_its_main_recipe(main: str) -> None:
    """Optimiser, its learning rate, or initialisation; with another optimiser comes the rate of the main recipe that has it."""
    base, usual = RECIPES[main], {RECIPES[name].optimiser: RECIPES[name].learning_rate for name in MAIN_RECIPES}
    for variant in (RECIPES[name] for name in VARIANTS[main]):
        other = variant.optimiser != base.optimiser
        rate = usual[variant.optimiser] if other else base.learning_rate
        assert other + (variant.learning_rate != rate) + (variant.initialisation != base.initialisation) == 1
        assert RunSpec(recipe=variant.name).key != RunSpec(recipe=main).key
    assert set(RECIPES) == {*MAIN_RECIPES, *VARIANTS["modern"], *VARIANTS["paper"]}


@pytest.mark.parametrize("field", ["train_size", "examples"])
def test_a_batch_larger_than_what_there_is_to_show_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="^batch_size must be at most " + field + r" \(200\); got 201$"):
        RunSpec(batch_size=201, **{field: 200})
    assert RunSpec(batch_size=200, **{field: 200}).batch_size == 200


def test_a_run_of_more_than_two_minutes_is_refused_and_says_how_long_it_would_take() -> None:
    with pytest.raises(ValueError, match="two cores") as caught:
        RunSpec(hidden=(2000, 2000, 2000), examples=320_000)
    # 320,000 examples x 2 x (2 x 9,588,000 + 8,020,000) operations at 40 GFLOP/s, and 2,500 steps of 0.4 ms: 435.1 + 1.0 s
    assert str(caught.value) == (
        "a run must take less than about 120 seconds on two cores, and this one would take about 436; "
        "choose narrower layers, fewer examples or larger batches"
    )
    with pytest.raises(ValueError, match="would take about 400; choose"):  # small batches: the steps count, not the products
        RunSpec(hidden=(1, 1, 1), batch_size=1, examples=1_000_000)


@pytest.mark.parametrize("field", list(LIMITS))
def test_the_limits_themselves_are_allowed(field: str) -> None:
    for limit in LIMITS[field]:
        whole = limit if field == "dropout" else int(limit)
        small = {"hidden": (10, 10, 10), "batch_size": 100, "examples": 4_096}
        big_batch = {"batch_size": 4_096} if field == "examples" and limit > 4_096 else {}
        value = (whole,) * 3 if field in ("hidden", "dropout") else whole
        spec = RunSpec(**{**small, **big_batch, field: 4_096 if field == "examples" and limit == 1 else value})
        assert getattr(spec, field) is not None
    assert RunSpec(batch_size=1, examples=1).steps == 1


def test_steps_widths_and_work_of_the_usual_network() -> None:
    spec = RunSpec(examples=60_000)
    assert spec.widths == (784, 100, 100, 100, 10)
    assert spec.steps == 468
    assert spec.n_parameters == 784 * 100 + 2 * 100 * 100 + 100 * 10 + 310
    assert spec.flops == 468 * 128 * (2 * 99_400 + 2 * 99_400 + 2 * 21_000)


def test_it_is_frozen_hashable_and_equal_by_value() -> None:
    with pytest.raises(FrozenInstanceError):
        RunSpec().seed = 1
    assert {RunSpec(), RunSpec(seed=0), RunSpec(hidden=[100] * 3)} == {RunSpec()}


# -- its text and its name ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "text", "key"), LITERALS)
def test_text_and_key_are_these_literals(spec: RunSpec, text: str, key: str) -> None:
    assert spec.to_json() == text
    assert spec.key == key == hashlib.sha256(text.encode()).hexdigest()
    assert RunSpec.from_json(text) == spec


def _scheduled(pieces: dict[int, tuple[float, float, float]], **fields: object) -> RunSpec:
    spec = RunSpec(**fields)
    return replace(spec, schedule=tuple(sorted((step, rates) for step, rates in pieces.items() if step < spec.steps)))


def specs() -> st.SearchStrategy[RunSpec]:
    """Any runs that are allowed."""
    units, rates = st.integers(1, 300), st.floats(0, 0.95)
    pieces = st.dictionaries(st.integers(1, 50), st.tuples(rates, rates, rates), max_size=4)
    return st.builds(
        _scheduled,
        pieces=pieces,
        hidden=st.tuples(units, units, units),
        dropout=st.tuples(rates, rates, rates),
        noise=st.sampled_from(list(NOISES)),
        batch_size=st.integers(16, 100),
        examples=st.integers(100, 100_000),
        train_size=st.integers(100, 55_000),
        recipe=st.sampled_from(list(RECIPES)),
        seed=st.integers(0, 2**31 - 1),
        precision=st.sampled_from(list(PRECISIONS)),
        subset_seed=st.none() | st.integers(0, 2**31 - 1),
    )


@settings(max_examples=100, deadline=None)
@given(spec=specs(), random=st.randoms(use_true_random=False))
def test_json_gives_the_same_run_back_in_any_order_of_fields(spec: RunSpec, random: object) -> None:
    assert RunSpec.from_json(spec.to_json()) == spec
    shuffled = list(asdict(spec).items())
    random.shuffle(shuffled)
    again = RunSpec.from_json(json.dumps(dict(shuffled), indent=2))
    assert again == spec
    assert again.key == spec.key


@settings(max_examples=100, deadline=None)
@given(spec=specs(), other=specs())
def test_keys_are_64_hex_digits_and_equal_only_for_equal_runs(spec: RunSpec, other: RunSpec) -> None:
    assert len(spec.key) == 64
    assert set(spec.key) <= set("0123456789abcdef")
    assert (spec.key == other.key) == (spec == other)


@pytest.mark.parametrize(
    "change",
    [{"hidden": (100, 100, 101)}, {"dropout": (0.4, 0.4, 0.4001)}, {"noise": "gaussian"}, {"batch_size": 127},
     {"examples": 319_999}, {"train_size": 54_999}, {"recipe": "paper"}, {"seed": 1}, {"precision": "bfloat16"},
     {"schedule": ((1, (0, 0, 0)),)}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_field_is_in_the_key(change: dict[str, object]) -> None:
    assert replace(RunSpec(), **change).key != RunSpec().key


@pytest.mark.parametrize(
    "same",
    [
        {"hidden": [100, 100, 100]}, {"hidden": np.array([100, 100, 100])}, {"hidden": (np.int64(100), np.int32(100), 100)},
        {"dropout": [0.4, 0.4, 0.4]}, {"dropout": np.full(3, 0.4)}, {"dropout": np.full(3, 0.4, np.float32)},
        {"dropout": (0.40001, 0.4, 0.39999)}, {"batch_size": np.uint16(128)}, {"seed": np.int64(0)},
        {"noise": np.str_("bernoulli")},
    ],
    ids=repr,
)  # fmt: skip
def test_the_kind_of_number_does_not_change_the_key(same: dict[str, object]) -> None:
    spec = RunSpec(**same)
    assert spec.to_json() == DEFAULT
    assert spec == RunSpec()


def test_a_seed_of_the_subset_is_named_only_where_it_matters() -> None:
    own = RunSpec(train_size=10_000, seed=3)
    assert replace(own, subset_seed=4).key != own.key
    assert replace(own, subset_seed=3) == own  # the subset that the seed chooses anyway
    assert RunSpec(subset_seed=4) == RunSpec()  # there is no subset
    for bad in (-1, 2**31, 1.5, "3", True):
        with pytest.raises(ValueError, match=r"^subset_seed must be a whole number from 0 to 2,147,483,647; got "):
            RunSpec(train_size=10_000, subset_seed=bad)


HALF = (0.5, 0.5, 0.5)


def test_a_schedule_is_the_rates_from_each_step_on() -> None:
    spec = RunSpec(dropout=(0, 0, 0), schedule=[[10, HALF], [30, [0.2, 0, 0.1]]])
    assert [spec.rates_at(step) for step in (0, 9, 10, 29, 30, 2499)] == [
        (0, 0, 0), (0, 0, 0), HALF, HALF, (0.2, 0, 0.1), (0.2, 0, 0.1)
    ]  # fmt: skip
    assert spec.final_rates == (0.2, 0, 0.1)
    assert RunSpec().rates_at(7) == RunSpec().final_rates == (0.4, 0.4, 0.4)
    assert hash(spec) == hash(RunSpec.from_json(spec.to_json()))


def test_pieces_that_change_nothing_are_left_out() -> None:
    plain = RunSpec(dropout=HALF)
    constant = RunSpec(dropout=HALF, schedule=((1, HALF), (2, (0.50001, 0.5, 0.5)), (900, HALF)))
    assert constant == plain
    assert constant.key == plain.key
    there_and_back = RunSpec(dropout=HALF, schedule=((5, HALF), (6, (0, 0, -0.0)), (7, (0, 0, 0)), (8, HALF), (9, HALF)))
    assert there_and_back.schedule == ((6, (0.0, 0.0, 0.0)), (8, HALF))


def test_a_schedule_of_a_thousand_pieces_is_the_longest() -> None:
    pieces = [(step, (step % 2 / 2,) * 3) for step in range(1, 1002)]
    assert len(RunSpec(schedule=pieces[:1000]).schedule) == 1000
    with pytest.raises(ValueError, match=r"^schedule must have at most 1,000 pieces; got more$"):
        RunSpec(schedule=pieces)


FORM = "schedule must be pieces of a step and the three rates from it on; got {}"


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (((5, HALF), (4, (0, 0, 0))), "schedule must go forward, each step after the one before; got 4 after 5"),
        (((1500, HALF), (1500, (0, 0, 0))), "schedule must go forward, each step after the one before; got 1,500 after 1,500"),
        *((((step, HALF),), f"a step of schedule must be a whole number from 1 to 2,499; got {step!r}")
          for step in (0, -1, 2500, 1.0, "1", None, True)),
        (((5, (0.5, 0.5)),), "the rates of schedule must be three numbers, one a hidden layer; got (0.5, 0.5)"),
        (((5, 0.5),), "the rates of schedule must be three numbers, one a hidden layer; got 0.5"),
        *((((5, (0.5, rate, 0)),), f"the rates of schedule must be rates from 0 to 0.95; got {rate!r}")
          for rate in (0.96, -0.1, float("nan"), "0.5", None, True)),
        *((value, FORM.format(value)) for value in (5, None, "5", ((5,),), ((5, HALF, 1),), (5, HALF), ["ab"])),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_a_bad_schedule_is_refused_in_one_sentence(schedule: object, sentence: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        RunSpec(schedule=schedule)
    assert str(caught.value) == sentence


def test_a_run_of_one_step_has_no_schedule() -> None:
    with pytest.raises(ValueError, match=r"^schedule must be empty for a run of a single step; got \(\(1, "):
        RunSpec(examples=128, schedule=((1, HALF),))


def test_rates_given_as_whole_or_negative_zero_are_zero() -> None:
    zero = RunSpec(dropout=(0.0, 0.0, 0.0))
    assert RunSpec(dropout=(0, -0.0, 1e-9)).key == zero.key
    assert zero.dropout == (0.0, 0.0, 0.0)


def test_fields_left_out_of_the_text_take_their_defaults() -> None:
    assert RunSpec.from_json('{"seed": 7}') == RunSpec(seed=7)
    assert RunSpec.from_json("{}") == RunSpec()


ALLOWED = "hidden, dropout, noise, batch_size, examples, train_size, recipe, seed, precision, subset_seed, schedule"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a run's description must be a JSON object; got ''"),
        ("[]", "a run's description must be a JSON object; got '[]'"),
        ("7", "a run's description must be a JSON object; got '7'"),
        ("{'seed': 1}", "a run's description must be a JSON object; got \"{'seed': 1}\""),
        (None, "a run's description must be a JSON object; got 'None'"),
        ("[" * 100_000, f"a run's description must be a JSON object; got '{'[' * 80}'"),
        ('{"depth": 3, "seed": 1, "colour": 2}', f"a run's description may hold {ALLOWED}; got colour, depth"),
        ('{"seed": -1}', WHOLE["seed"].format(-1)),
        ('{"dropout": [1e999, 0, 0]}', RATES.format("inf")),
        ('{"dropout": [NaN, 0, 0]}', RATES.format("nan")),
        ('{"dropout": [1' + "0" * 400 + ", 0, 0]}", RATES.format("1" + "0" * 400)),
        ('{"hidden": {"a": 1, "b": 2, "c": 3}}', UNITS.format("'a'")),
        ('{"noise": ["bernoulli"]}', "noise must be one of bernoulli, gaussian, dropconnect; got ['bernoulli']"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_text_that_is_no_run_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"a run|must") as caught:
        RunSpec.from_json(text)
    assert str(caught.value) == sentence


SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text()
FIELDS = st.dictionaries(st.sampled_from(ALLOWED.split(", ")), SCALARS | st.lists(SCALARS, min_size=2, max_size=4))


@settings(max_examples=300, deadline=None)
@given(text=st.text() | st.recursive(SCALARS, st.lists).map(json.dumps) | FIELDS.map(json.dumps))
def test_whatever_the_text_it_is_a_run_or_one_sentence(text: str) -> None:
    sentence = ""
    try:
        spec = RunSpec.from_json(text)
    except ValueError as error:
        sentence = str(error)
    assert ("; got " in sentence and "\n" not in sentence) or RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "statement", ["import dropclust", "import dropclust.core.spec", "from dropclust import RunSpec; RunSpec().key"]
)
def test_a_run_is_described_without_loading_torch(statement: str, subprocess_environment: dict[str, str]) -> None:
    code = f"{statement}; import sys; print(sorted({{'torch', 'torchvision', 'numpy', 'sklearn'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=subprocess_environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_step_too_long_to_be_stopped_is_refused():
    with pytest.raises(ValueError, match=r"a step must take less than 10 billion operations.*this one would take 223; choose"):
        RunSpec(hidden=(2000, 2000, 2000), batch_size=4096, examples=4096)
    assert RunSpec(hidden=(1600, 100, 100), batch_size=1024).flops / (320_000 // 1024) < 1e10
