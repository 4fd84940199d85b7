"""A headless Chromium, driven over its DevTools protocol with the WebSocket client that netadmit has anyway.

Source: chromedevtools.github.io/devtools-protocol. `.ci/run` installs the browser.
"""

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp

from .programs import program

_SECONDS = 30


class Page:
    """One tab. What the page itself does wrong is in ``complaints``: exceptions, refused resources, console errors."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self._socket = socket
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self._at = (0.0, 0.0)
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                answer = self._answers.pop(said["id"])
                if answer.done():  # whoever asked waits no longer
                    continue
                if "error" in said:
                    answer.set_exception(AssertionError(said["error"]))
                else:
                    answer.set_result(said["result"])
            match said.get("method"):
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Runtime.exceptionThrown":
                    self.complaints.append(
                        said["params"]["exceptionDetails"]["exception"].get("description", "exception")
                    )
                case "Log.entryAdded":
                    self.complaints.append(said["params"]["entry"]["text"])
                case "Network.requestWillBeSent":
                    self.requested.append(said["params"]["request"]["url"])

    async def send(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        answer = self._answers[number]
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await asyncio.wait_for(answer, _SECONDS)

    async def open(self, url: str) -> None:
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), _SECONDS)
        # The event may be that of the page before.
        here = f"location.href.startsWith({json.dumps(url.partition('#')[0])}) && document.readyState === 'complete'"
        await self.until(f"{here} && !!document.querySelector('main')?.childElementCount")

    async def run(self, script: str) -> Any:
        """The value of an expression; promises are waited for."""
        done = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def until(self, script: str) -> Any:
        """Waits until an expression is neither null nor false."""
        async with asyncio.timeout(_SECONDS):
            while (value := await self.run(script)) in (None, False):  # noqa: ASYNC110 - what happens in the page sends no event
                await asyncio.sleep(0.02)
        return value

    async def text(self, selector: str = "main") -> str:
        """What a reader sees there, without blank lines."""
        seen = str(await self.run(f"document.querySelector({json.dumps(selector)}).innerText"))
        return "\n".join(line.strip() for line in seen.split("\n") if line.strip())

    async def click(self, selector: str, text: str = "") -> None:
        """A click of the mouse on the first element that fits and has this text."""
        await self.point(selector, text)
        for kind in ("mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent", type=kind, x=self._at[0], y=self._at[1], button="left", clickCount=1
            )

    async def point(self, selector: str, text: str = "") -> None:
        """Moves the mouse to the middle of the first element that fits and has this text."""
        self._at = await self.until(
            f"(() => {{ const e = [...document.querySelectorAll({json.dumps(selector)})]"
            f".find((e) => e.textContent.includes({json.dumps(text)}) && e.getClientRects().length);"
            " if (!e) return null; e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        await self.send("Input.dispatchMouseEvent", type="mouseMoved", x=self._at[0], y=self._at[1])

    async def type(self, text: str) -> None:
        await self.send("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        more = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        number = code.get(key, ord(key[0]))
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=number, **more)
            more = {}

    async def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, path: Path, *, whole: bool = False) -> None:
        done = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(done["data"]))  # noqa: ASYNC240 - nothing else runs here

    async def close(self) -> None:
        await self.send("Page.close")
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()


class Browser:
    """A browser of its own, with an empty profile in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._profile = folder / "profile"

    async def __aenter__(self) -> Self:
        options = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "hide-scrollbars")
        quiet = ("disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage")
        self._process = await asyncio.create_subprocess_exec(
            program("chromium", "chromium-browser", "google-chrome"),
            *(f"--{option}" for option in options + quiet),
            f"--user-data-dir={self._profile}",
            "--remote-debugging-port=0",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            said = self._profile / "DevToolsActivePort"
            async with asyncio.timeout(_SECONDS):
                while not said.exists() or "\n" not in said.read_text():
                    assert self._process.returncode is None, "the browser ended"
                    await asyncio.sleep(0.05)
            self._address = f"http://127.0.0.1:{said.read_text().split()[0]}"
            self._session = aiohttp.ClientSession()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._stop()

    async def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    @contextlib.asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        async with self._session.put(f"{self._address}/json/new?about:blank") as answer:
            url = (await answer.json())["webSocketDebuggerUrl"]
        async with self._session.ws_connect(url, max_msg_size=0) as socket:
            page = Page(socket)
            try:
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await page.send(f"{domain}.enable")
                await page.send("Page.bringToFront")  # what is in the background draws nothing
                yield page
            finally:
                await page.close()
