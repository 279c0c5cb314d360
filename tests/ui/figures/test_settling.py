"""Charts over the number of masks."""

import pytest

from dropclust.core.convergence import MASKS
from dropclust.findings.settling import settled
from dropclust.ui.figures.settling import settling
from tests.findings.planted import settling as planted
from tests.ui.figures.looks import differ, looks


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("exact", [True, False])
def test_every_number_of_masks_is_drawn_where_it_lies(masks, exact):
    shown = settled(planted(exact), masks)
    for info in (shown.logit, shown.mstd, shown.accuracy, shown.gap):
        figure = settling(info, log_y=info is shown.gap)
        [marker] = figure.layout.shapes
        assert marker.x0 == masks
        assert figure.layout.xaxis.type == "log"
        assert figure.layout.yaxis.type == ("log" if info is shown.gap else None)
        assert info.table()["number of masks"].tolist() == list(MASKS)
        assert differ(looks(figure))
