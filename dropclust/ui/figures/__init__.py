"""Figures: an object of `findings` in, a plotly figure out; no arithmetic but that of layout."""
