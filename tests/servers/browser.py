"""Chromium without a window, told what to do by the WebDriver protocol (W3C WebDriver 2) over plain HTTP."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.require import require

#: Seconds for any one thing; machines are busy, and a browser starts slowly.
PATIENCE: Final = 120.0

#: How WebDriver calls an element in JSON (section 12.1).
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"

#: Nothing leaves this host: no name is resolved, no proxy asked, nothing fetched for the browser's own needs.
_ARGUMENTS: Final = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--disable-default-apps", "--no-pings",
)  # fmt: skip


class Browser:
    """One session, with one window."""

    def __init__(self, port: int, capabilities: dict[str, Any]) -> None:
        self._port = port
        self._session = ""
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{made['sessionId']}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, f"{self._session}{path}", sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())["value"]
        finally:
            connection.close()
        assert answer.status == 200, f"{method} {path}: {value}"
        return value

    def go(self, url: str) -> None:
        """Open a page, and wait until it is there."""
        self._ask("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        return str(self._ask("GET", "/url"))

    @property
    def title(self) -> str:
        return str(self._ask("GET", "/title"))

    def run(self, script: str) -> Any:
        """What a script of ours, not the page's, returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def text(self, selector: str = "body") -> str:
        """What is seen of an element."""
        return str(self._ask("GET", f"/element/{self._find(selector)}/text"))

    def type(self, selector: str, words: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/value", {"text": words})

    def press(self, selector: str) -> None:
        """Click, and wait for the page that follows: the old one carries a mark that a new one has not."""
        self.run("window.isOld = true")
        self._ask("POST", f"/element/{self._find(selector)}/click", {})
        end = time.monotonic() + PATIENCE
        while self.run("return window.isOld === true || document.readyState !== 'complete'"):
            assert time.monotonic() < end, f"nothing follows a click on {selector}"
            time.sleep(0.02)

    def _find(self, selector: str) -> str:
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])

    def size(self, width: int, height: int) -> None:
        """Of what is drawn, as on a phone: a window cannot be as narrow."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self._ask(
            "POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}
        )  # fmt: skip

    def scheme(self, name: str) -> None:
        """`light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self._ask(
            "POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": [feature]}}
        )  # fmt: skip

    def complaints(self) -> list[str]:
        """What stands in the console since the last look: errors, and violations of the page's policy. What the
        browser says of its own first page is left out."""
        said = [str(line["message"]) for line in self._ask("POST", "/se/log", {"type": "browser"})]
        return [message for message in said if not message.startswith("chrome://")]

    def cookies(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "/cookie")
        return found

    def forget(self) -> None:
        """All cookies."""
        self._ask("DELETE", "/cookie")

    def picture(self, file: Path) -> None:
        file.write_bytes(b64decode(self._ask("GET", "/screenshot")))

    def close(self) -> None:
        self._ask("DELETE", "")


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """`folder`: for what a browser keeps."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    require(chromium and driver, "needs chromium and chromium-driver")
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
    process = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        started = (re.search(r"started successfully on port (\d+)", line) for line in process.stdout)
        port = next((int(found[1]) for found in started if found), None)
        assert port is not None, "chromedriver has ended"
        made = Browser(
            port,
            {
                "acceptInsecureCerts": True,
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"args": [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}"]},
            },
        )
        try:
            yield made
        finally:
            made.close()
    finally:
        with suppress(ProcessLookupError):  # with every process of the browser
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
