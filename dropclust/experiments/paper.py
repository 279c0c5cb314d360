"""What the paper reports, as data: every marker and comparison with Lin, Wang & Chen (2019) reads from here."""

from __future__ import annotations

from types import MappingProxyType

CITATION = "Lin, Wang & Chen (2019), Clustering Phenomena in Dropout"

# Table 1: test accuracy by batch size; (a) dropout 0.4 on three layers of 100, (b) without. 320,000 examples in each row.
TABLE_1 = MappingProxyType(
    {
        0.4: {16: 0.765, 32: 0.787, 64: 0.797, 128: 0.697, 256: 0.815, 512: 0.836},
        0.0: {16: 0.891, 32: 0.897, 64: 0.892, 128: 0.907, 256: 0.906, 512: 0.918},
    }
)

# Table 2: Rand index by dropout rate. The paper names neither the layer nor the number of clusters.
TABLE_2 = MappingProxyType({0.0: 0.65, 0.2: 0.81, 0.4: 0.77, 0.6: 0.82, 0.8: 0.84})

# Figure 3: log MSTD = slope log h + intercept. The base of the logarithm is not stated.
FIGURE_3 = MappingProxyType({"slope": -0.3541, "intercept": 0.0958, "r_squared": 0.98})

# Table 3: units of layer 1 -> (test accuracy, units after compression, test accuracy after compression); (a) and (b).
TABLE_3 = MappingProxyType(
    {
        0.5: {400: (0.869, 162, 0.855), 500: (0.879, 162, 0.847), 600: (0.884, 167, 0.833), 700: (0.877, 177, 0.839)},
        0.0: {400: (0.882, 162, 0.740), 500: (0.894, 162, 0.685), 600: (0.892, 167, 0.534), 700: (0.891, 177, 0.657)},
    }
)
