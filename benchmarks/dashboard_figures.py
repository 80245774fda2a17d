"""The dashboard in Chromium: first paint, weight, and how soon a key shows with many models and a fast log."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.report import Figure, spread
from tests.browser.page import Page, browser
from tests.running import FAKE_WORKER, Service, running, store_tiny_model

PAINT_MS, DELAY_MS, WEIGHT_KB = 300.0, 100.0, 300.0
MODELS, LINES_PER_S, KEYS = 2000, 500, 40
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_WEIGHT = (
    "performance.getEntriesByType('resource').filter((one) => one.name.includes('/ui/'))"
    ".reduce((sum, one) => sum + one.decodedBodySize, 0)"
)
# From the key until the frame after the one that it caused.
_WATCH = """
window.delays = [];
addEventListener('keydown', (event) => requestAnimationFrame(() => setTimeout(() =>
  delays.push(performance.now() - event.timeStamp))), true);
"""
_MODELS = """
import('/ui/dashboard/core/store.js').then(({store}) => {
  const one = store.state.models[0];
  const make = (_, index) => ({...one, model_id: `me/Model-${index}-Q8_0-GGUF`,
    simple_name: `Model-${index}-Q8_0-GGUF`, quantization: 'Q8_0', is_downloaded: true});
  store.set({models: Array.from({length: %d}, make)});
})
"""
_LINES = """
(() => {
  const line = () => ({timestamp: new Date().toISOString(), level: 'INFO', source: 'API',
    message: `line ${Math.random()}`});
  setInterval(() => document.querySelector('fl-log-view')?.add(Array.from({length: %d / 20}, line)), 50);
})()
"""


def dashboard_figures(folder: Path, rounds: int) -> list[Figure]:
    """One fresh browser for each round."""
    if shutil.which("chromium") is None:
        return []
    home = folder / "dashboard-home"
    store_tiny_model(home)
    paints: list[float] = []
    delays: dict[str, list[float]] = {"models": [], "logs": []}
    with running(home, worker=FAKE_WORKER) as service:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as page:
                page.size(1300)
                page.open(service.root)
                page.until("the dashboard", "document.querySelector('fl-overview .card dl')")
                paints.append(float(page.until("the paint", _PAINT)))
                weight_kb = float(page.eval(_WEIGHT)) / 1024
                delays["models"] += _models(page)
                delays["logs"] += _logs(page, service)
    slow = sorted(delays["models"] + delays["logs"])[int(0.95 * len(delays["models"] + delays["logs"]))]
    return [
        Figure(
            "dashboard first paint ms",
            spread(paints, 0),
            target=f"< {PAINT_MS:.0f} ms",
            is_ok=median(paints) < PAINT_MS,
        ),
        Figure(
            "dashboard weight of the first page KB",
            f"{weight_kb:.0f}",
            target=f"< {WEIGHT_KB:.0f} KB",
            is_ok=weight_kb < WEIGHT_KB,
        ),
        Figure(f"key to screen with {MODELS} models ms", spread(delays["models"], 0)),
        Figure(f"key to screen with {LINES_PER_S} log lines/s ms", spread(delays["logs"], 0)),
        Figure(
            "key to screen, both, p95 ms", f"{slow:.0f}", target=f"< {DELAY_MS:.0f} ms", is_ok=slow < DELAY_MS
        ),
    ]


def _models(page: Page) -> list[float]:
    page.eval("location.hash = '#/models'")
    page.until("the list", "document.querySelector('[data-row]')")
    page.eval(_MODELS % MODELS)
    page.shows(f"{MODELS:,} models", "main")
    return _type(page)


def _logs(page: Page, service: Service) -> list[float]:
    page.open("about:blank")
    page.open(f"{service.root}/#/logs")
    page.until("the log", "document.querySelector('fl-log-view .log-line')")
    page.eval(_LINES % LINES_PER_S)
    page.until("a full log", "document.querySelectorAll('.log-line').length > 1000")
    return _type(page)


def _type(page: Page) -> list[float]:
    page.eval(_WATCH)
    page.eval("document.querySelector('[data-filter]').focus()")
    for number in range(KEYS):
        page.press("line"[number % 4])
    page.until("all keys", f"delays.length >= {KEYS}")
    return [float(delay) for delay in page.eval("delays")]
