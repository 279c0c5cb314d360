"""What the server answers beside the pages: /healthz for machines, and a panel for whoever started the app."""

from __future__ import annotations

import html
import secrets
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dropclust.service import feed, overview

if TYPE_CHECKING:
    from starlette.requests import Request

_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
_PANEL = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<meta name="viewport" content="width=device-width"><title>DropClust: teacher</title>
<style>body {{ font: 1.3rem/1.6 sans-serif; margin: 2rem; color-scheme: light dark }}
th {{ text-align: left; padding-right: 2rem }}
button {{ font: inherit }}</style>
<h1>DropClust</h1><table>{rows}</table>
<form method="post"><p><button>Stop all runs</button> What was learnt so far is kept.</p></form></html>"""


def routes(token: str, base_path: str = "") -> list[Route]:
    """The routes below a base path.

    Parameters
    ----------
    token
        Whoever names it in the panel's address is let in; for everybody else there is no such page.
    base_path
        As the dashboard's, without slashes at its ends.
    """

    def healthz(request: Request) -> Response:
        state = overview.overview()
        return JSONResponse(state, 503 if state["failure"] else 200, _HEADERS)

    def panel(request: Request) -> Response:
        if not secrets.compare_digest(request.query_params.get("token", "").encode(), token.encode()):
            return PlainTextResponse("Not Found", 404)
        if request.method == "POST":
            overview.stop_all()
            feed.end_all()
            return RedirectResponse(f"?token={token}", 303, _HEADERS)
        state = overview.overview()
        rows = [("Open pages", state["sessions"]), ("Workers", f"{state['workers']} ({state['status']})")]
        rows += [(f"Runs, {name}", number) for name, number in state["queue"].items()]
        rows += [("Nothing can be trained", state["failure"])] if state["failure"] else []
        cells = (f"<tr><th>{html.escape(name)}<td>{html.escape(str(value))}" for name, value in rows)
        return HTMLResponse(_PANEL.format(rows="".join(cells)), 200, _HEADERS)

    before = f"/{base_path}" if base_path else ""
    return [Route(f"{before}/healthz", healthz), Route(f"{before}/teacher", panel, methods=["GET", "POST"])]
