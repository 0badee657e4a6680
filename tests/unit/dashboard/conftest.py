"""The dashboard's modules, tested in a real Chromium: no bundler, no fake document.

Playwright's synchronous API keeps an event loop in its thread for as long as it lives, which no asynchronous test
could stand beside. So it lives in a thread of its own.
"""

from __future__ import annotations

import importlib.util
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

from tests.support.chromium import ARGUMENTS, find_chromium

DASHBOARD = Path(__file__).resolve().parents[3] / "dashboard"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
CSP = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)

# On a busy machine a browser may take its time; a test that waits for what never comes still ends.
expect.set_options(timeout=20_000)


class _Files(BaseHTTPRequestHandler):
    """The page as the bridge serves it, and an empty page for tests of single modules."""

    protocol_version = "HTTP/1.1"  # one connection for all files

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/blank":
            self._answer(b"<!doctype html><title>blank</title><body></body>", ".html")
        elif path == "/favicon.ico":
            self._answer((DASHBOARD / "img" / "favicon.svg").read_bytes(), ".svg")
        elif path == "/":
            self._answer((DASHBOARD / "index.html").read_bytes(), ".html")
        elif path == "/static/vendor/plotly.min.js":
            self._answer(_plotly().read_bytes(), ".js")
        else:
            file = DASHBOARD / path.removeprefix("/static/")
            if path.startswith("/static/") and ".." not in path and file.is_file():
                self._answer(file.read_bytes(), file.suffix)
            else:
                self.send_error(404)

    def _answer(self, body: bytes, suffix: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{TYPES[suffix]}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("Cache-Control", "max-age=3600")  # files do not change under a test
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _plotly() -> Path:
    spec = importlib.util.find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


class _BrowserThread:
    """One Chromium for all tests, in its own thread.

    All pages share one profile: opening a page then costs a fifth, since the page's modules and Plotly are compiled
    once and not for each test. The page keeps nothing in the profile (no cookie, no storage).
    """

    def __init__(self, profile: Path) -> None:
        self._thread = ThreadPoolExecutor(1, "chromium")
        self._profile = profile
        self._playwright: Playwright
        self._context: BrowserContext
        self._thread.submit(self._start).result()

    def run(self, work: Callable[..., Any], *args: Any) -> Any:
        return self._thread.submit(work, *args).result()

    def stop(self) -> None:
        self.run(self._stop)
        self._thread.shutdown()

    def open(self, url: str, script: str, complaints: list[str]) -> Page:
        page = self._context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: complaints.append(f"a dialog opened: {dialog.message}"))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective));"
            + script
        )
        page.goto(url)
        return page

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        self._context = self._playwright.chromium.launch_persistent_context(
            self._profile, executable_path=find_chromium(), args=ARGUMENTS, viewport={"width": 1440, "height": 900}
        )

    def _stop(self) -> None:
        self._context.close()
        self._playwright.stop()


@pytest.fixture(scope="session")
def _site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_BrowserThread]:
    browser = _BrowserThread(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.stop()


class Tab:
    """A page of the browser. Whatever it logs as an error fails the test, unless the test takes it out."""

    def __init__(self, browser: _BrowserThread, url: str, script: str = "") -> None:
        self.complaints: list[str] = []
        self._browser = browser
        self._page: Page = browser.run(browser.open, url, script, self.complaints)

    def js(self, source: str, arg: Any = None) -> Any:
        """Run JavaScript: the body of an async function of `arg` and `load`, which imports a module of the page."""
        body = textwrap.dedent(source)
        function = f"async (arg) => {{ const load = (name) => import(`/static/js/${{name}}.js`);\n{body}\n}}"
        return self.do(lambda page: page.evaluate(function, arg))

    def do(self, work: Callable[[Page], Any]) -> Any:
        """Do something with Playwright's page, in its thread."""
        return self._browser.run(work, self._page)

    def close(self) -> None:
        self.do(lambda page: (page.context.clear_permissions(), page.close()))
        assert self.complaints == []


@pytest.fixture(scope="session")
def _blank_tab(_chromium: _BrowserThread, _site: str) -> Iterator[Tab]:
    tab = Tab(_chromium, f"{_site}/blank", PLAYED_SERVER)
    yield tab
    tab.close()


@pytest.fixture
def tab(_blank_tab: Tab) -> Iterator[Tab]:
    """An empty page of the dashboard's origin, for modules that keep no state."""
    yield _blank_tab
    complaints = list(_blank_tab.complaints)
    _blank_tab.complaints.clear()
    assert complaints == []


@pytest.fixture
def fresh_tab(tab: Tab, _site: str) -> Tab:
    """The same, loaded anew, with `window.server` in place of a network."""
    tab.do(lambda page: page.goto(f"{_site}/blank"))
    return tab


@pytest.fixture
def open_dashboard(_chromium: _BrowserThread, _site: str) -> Iterator[Callable[[str], Tab]]:
    """`open_dashboard("#/")`: the whole page, with a server that the test plays: `window.server`."""
    tabs: list[Tab] = []

    def open_dashboard(hash_: str) -> Tab:
        tabs.append(Tab(_chromium, f"{_site}/{hash_}", PLAYED_SERVER))
        return tabs[-1]

    yield open_dashboard
    for tab in tabs:
        tab.close()


PLAYED_SERVER = """
window.server = {
  sent: [], sockets: [],
  get socket() { return this.sockets.at(-1); },
  say(message) { this.socket.onmessage({ data: typeof message === 'string' ? message : JSON.stringify(message) }); },
  frame(buffer) { this.socket.onmessage({ data: buffer }); },
  welcome(extra = {}) {
    this.say({ type: 'welcome', version: '0', epoch: 'e1', session_id: 'me', role: 'operator',
      server_time_ms: Date.now(), operators: 1, sources: [], commands: [], notes: [], limits: {}, ...extra });
  },
  last(type) { return this.sent.filter((message) => message.type === type).at(-1); },
  snapshot(channel, devices, series, extra = {}) {
    const { id } = this.sent.filter((m) => m.type === 'subscribe' && m.channel === channel).at(-1);
    this.say({ type: 'snapshot', id, channel, channel_no: channel === 'fleet' ? 1 : 2, epoch: 'e1', offset: 0,
      recovered: false, devices, series, ...extra });
  },
  statsSnapshot(counters, extra = {}) {
    this.snapshot('stats', undefined, undefined, { channel_no: 3, counters, ...extra });
  },
  stats(offset, counters, time_ms = Date.now()) {
    this.say({ type: 'stats', channel: 'stats', offset, time_ms, counters });
  },
  device(id, extra = {}) {
    return { device_id: id, name: id, convention: 'native', manufacturer: '', model: '', area: '', sw_version: '',
      availability: 'online', availability_since_ms: Date.now(), availability_source: 'status',
      first_seen_ms: Date.now(), last_seen_ms: Date.now(), clock_suspect: false, commands: [], ...extra };
  },
  series(series_id, device_id, metric, extra = {}) {
    return { series_id, device_id, metric, name: metric, kind: 'number', unit: '', unit_source: '', precision: 1,
      min: null, max: null, texts: [], texts_from: 0, value: 1, time_ms: Date.now(), received_ms: Date.now(),
      quality: 'good', ...extra };
  },
  // A replay: `moment` answers the page's question for a moment, `replay` tells how far it has got.
  recording(extra = {}) {
    return { state: 'recording', since_ms: Date.now() - 86_400_000, reason: '', waiting: 0, lost: 0, ...extra };
  },
  get asked() {
    return this.sent.filter((m) => m.type === 'subscribe' && m.channel === 'replay').at(-1);
  },
  moment(at_ms, devices, series, { commands = [], notes = [], ...extra } = {}) {
    const { id, speed, paused } = this.asked;
    this.say({ type: 'snapshot', id, channel: 'replay/7', channel_no: 7, epoch: 'e1', offset: 0, recovered: false,
      at_ms, speed, paused, devices, series, commands, notes, ...extra });
  },
  replay(at_ms, extra = {}) {
    const { id, speed } = this.asked;
    this.say({ type: 'replay', id, channel: 'replay/7', at_ms, speed, paused: false, at_end: false, ...extra });
  },
  readings(offset, rows, { channel_no = 1, kind = 1 } = {}) {
    const n = rows.length;
    const base = n ? Math.min(...rows.map((row) => row[1])) : 0;
    const buffer = new ArrayBuffer(40 + 16 * n);
    const view = new DataView(buffer);
    view.setUint8(0, kind);
    view.setUint8(1, 1);
    view.setUint32(4, n, true);
    view.setBigUint64(8, BigInt(offset), true);
    view.setBigInt64(16, BigInt(Math.round(base * 1000)), true);
    view.setBigInt64(24, BigInt(Date.now() * 1000), true);
    view.setUint32(32, channel_no, true);
    rows.forEach(([id, time, value], i) => {
      view.setFloat64(40 + 8 * i, value, true);
      view.setUint32(40 + 8 * n + 4 * i, id, true);
      view.setUint32(40 + 12 * n + 4 * i, Math.round((time - base) * 1000), true);
    });
    this.frame(buffer);
  },
};
window.WebSocket = class {
  static OPEN = 1;
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, readyState: 1 });
    window.server.sockets.push(this);
  }
  send(text) { window.server.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; }
};
"""
