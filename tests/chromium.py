"""Drives the Chromium that is on this machine, over the pipe of its debugging protocol: no driver, no port.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the browser: what `CHROMIUM` names, or the first one on the path; None if there is none."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """A page of the browser."""

    def __init__(self, browser: "Browser", session: str) -> None:
        """Listen to what goes wrong on the page."""
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []
        """What the console was told, errors, refused requests."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> Any:
        """Call a method of the protocol."""
        return self._browser.call(method, parameters, self._session)

    def heard(self, method: str, parameters: Any) -> None:
        """Note what the browser says by itself."""
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "warning", "assert"}:
            self.complaints.append(json.dumps(parameters["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(json.dumps(parameters["entry"]))
        elif method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith(("file:", "data:")):
            self.complaints.append(parameters["request"]["url"])

    def open(self, path: Path) -> None:
        """Open a file, and wait until its script is done."""
        self.call("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete' && document.documentElement.dataset.ready !== undefined")

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression, or what it promises."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true; fail after 30 seconds."""
        script = (
            "new Promise((done, fail) => { const end = Date.now() + 30000; const look = () => {"
            f"let is = false; try {{ is = {condition}; }} catch {{}}"
            "if (is) done(true); else if (Date.now() > end) fail(new Error('waited in vain'));"
            "else setTimeout(look, 20); };"
            "look(); })"
        )
        while True:
            done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
            if "exceptionDetails" not in done:
                return
            assert "waited in vain" not in json.dumps(done), condition

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key: `Tab`, `Enter`, `Escape`, `ArrowLeft`, or a character."""
        code, text = {
            "Tab": (9, ""),
            "Enter": (13, "\r"),
            "Escape": (27, ""),
            "ArrowLeft": (37, ""),
            "ArrowRight": (39, ""),
            "ArrowDown": (40, ""),
            " ": (32, " "),
        }.get(key, (ord(key[0].upper()), key))
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, x: float, y: float) -> None:
        """Click at a point of the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def look(self, *, width: int, height: int, dark: bool = False) -> None:
        """Set the window's size, and what the system prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="", features=features)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.run("new Promise((done) => setTimeout(done, 300))")
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(taken["data"]))

    def print(self, path: Path) -> None:
        """Write the page as a PDF."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            base64.b64decode(self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])
        )


class Browser:
    """A headless Chromium."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        """Talk to it over two file descriptors."""
        self._to = os.fdopen(to_browser, "wb", buffering=0)
        self._from = os.fdopen(from_browser, "rb")
        self._left = b""
        self._calls = 0
        self._pages: dict[str, Page] = {}

    def call(self, method: str, parameters: object, session: str | None = None) -> Any:
        """Call a method of the protocol and return what it answers."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        self._to.write(json.dumps(message).encode() + b"\0")
        number = self._calls
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if answer.get("sessionId") in self._pages and "method" in answer:
                self._pages[answer["sessionId"]].heard(answer["method"], answer["params"])

    def _read(self) -> Any:
        while b"\0" not in self._left:
            more = os.read(self._from.fileno(), 1 << 20)
            assert more, "Chromium has ended"
            self._left += more
        message, self._left = self._left.split(b"\0", 1)
        return json.loads(message)

    def new_page(self) -> Page:
        """Open an empty page."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = object.__new__(Page)
        self._pages[session] = page
        page.__init__(self, session)  # type: ignore[misc] # it must be known before it listens
        return page

    def close(self) -> None:
        """Close the pipes."""
        self._to.close()
        self._from.close()


@contextmanager
def open_browser(chromium: str) -> Iterator[Browser]:
    """Start a headless Chromium with a profile of its own; end it and all its processes afterwards."""
    read_commands, write_commands = os.pipe()
    read_answers, write_answers = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The protocol's pipes are the file descriptors 3 and 4.
        script = f'exec 3<&{read_commands} 4>&{write_answers}; exec "$@"'
        options = [
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "--no-first-run",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
        ]
        if os.geteuid() == 0:
            # Chromium refuses to sandbox the superuser; the pages are our own.
            options.append("--no-sandbox")
        process = subprocess.Popen(
            ["/bin/bash", "-c", script, "bash", chromium, *options, "about:blank"],
            pass_fds=(read_commands, write_answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read_commands)
        os.close(write_answers)
        browser = Browser(write_commands, read_answers)
        try:
            yield browser
        finally:
            browser.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
