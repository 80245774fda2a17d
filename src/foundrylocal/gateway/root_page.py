"""The page that a browser gets at the gateway's root: what this port is, and the way to the dashboard."""

from __future__ import annotations

import html

from foundrylocal.web.asgi import Header

HEADERS: tuple[Header, ...] = (
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
CONTENT_TYPE = b"text/html; charset=utf-8"
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>FoundryLocal gateway</title></head>
<body>
<h1>FoundryLocal gateway</h1>
<p>This port is for programs: it speaks the APIs of OpenAI, Anthropic and Ollama.</p>
<p>Set a program's base URL to this address followed by <code>/v1</code> (Anthropic clients: without <code>/v1</code>)
and give it the API key.</p>
<p>{dashboard}</p>
</body>
</html>
"""


def render_root_page(dashboard_url: str | None) -> bytes:
    """The page; `dashboard_url` is where the management API answers on this machine, if that is known."""
    if dashboard_url is None:
        dashboard = (
            "Models, the API key and a chat are in the dashboard of the management API, port 9500 by default."
        )
    else:
        url = html.escape(f"{dashboard_url.rstrip('/')}/")
        dashboard = (
            f'Models, the API key and a chat are in the dashboard, on this machine: <a href="{url}">{url}</a>'
        )
    return _PAGE.format(dashboard=dashboard).encode()
