"""How the lines of a chart look, which the tests of several figures ask."""


def looks(figure) -> dict[str, tuple[str, str, str]]:
    """Colour, dash and marker of each named line."""
    return {
        line.name: (line.line.color, line.line.dash, line.marker.symbol)
        for line in figure.data
        if line.type == "scatter" and line.name
    }


def differ(chart: dict[str, tuple[str, str, str]]) -> bool:
    """Whether each two lines differ in colour, and in dash or marker."""
    shapes = {look[1:] for look in chart.values()}
    return len({colour for colour, _, _ in chart.values()}) == len(shapes) == len(chart)
