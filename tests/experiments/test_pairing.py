"""Values by seed."""

import pandas as pd
import pytest

from dropclust.experiments.pairing import by_seed, paired

TABLE = pd.DataFrame({"seed": [2, 0, 1, 0, 1], "rate": [0.5, 0.5, 0.5, 0.0, 0.0], "loss": [3.0, 1.0, float("nan"), 7.0, 8.0]})


def test_a_value_a_seed_in_order_and_none_where_it_is_missing():
    assert by_seed(TABLE, "loss", rate=0.5).to_dict() == {0: 1.0, 2: 3.0}


def test_two_values_of_a_seed_are_refused():
    with pytest.raises(ValueError, match="a seed must have one loss"):
        by_seed(TABLE, "loss")


def test_pairs_are_of_the_seeds_that_all_have():
    first, second = paired(by_seed(TABLE, "loss", rate=0.0), by_seed(TABLE, "loss", rate=0.5))
    assert (first.tolist(), second.tolist()) == ([7.0], [1.0])
