"""An OpenAI-compatible server that costs nothing, is slow or breaks as told, and logs each request.

    python -m popi_prompt.stub_server --port 8000 --latency 0.05

For tests of yours and ours: point a route's `api_base` at it. An answer is a function of the
request, and so is whether it breaks: the seed decides, not the order of arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from aiohttp import web

from popi_prompt.stub_answers import completion, embedding

RETRY_AFTER = "Retry-After"
Reply = Mapping[str, Any]
_Made = Callable[[dict[str, Any], bytes, str], dict[str, Any]]
_SHARES = ("rate_limited", "broken", "hangs", "cut_off", "empty", "unauthorized")


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of requests that go wrong, each between 0 and 1; `retry_after` is in seconds.

    An `unauthorized` one is answered as some providers do: with the key in the message.
    """

    rate_limited: float = 0.0
    broken: float = 0.0
    hangs: float = 0.0
    cut_off: float = 0.0
    empty: float = 0.0
    unauthorized: float = 0.0
    retry_after: float = 0.1
    seed: int = 0

    def of(self, body: bytes, attempt: int) -> str:
        """What happens to the n-th sending of a request: the name of a share, or "none"."""
        digest = hashlib.sha256(f"{self.seed} {attempt} ".encode() + body).digest()
        drawn = int.from_bytes(digest[:8], "big") / 2**64
        for name in _SHARES:
            drawn -= getattr(self, name)
            if drawn < 0:
                return name
        return "none"


@dataclass(frozen=True, slots=True)
class Logged:
    """One request as it arrived, and the tokens the answer was billed at; 0 for a refusal."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    fault: str
    tokens_in: int
    tokens_out: int


class StubServer:
    """The server on a port of its own (`port` 0) in a background thread; for `with`.

    `reply` may set "content", "refusal", "logprobs", "finish_reason", "embedding" or "usage" of
    every answer, or be a function of the request's body that does. `most_at_once` is how many
    requests were under way together.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        faults: Faults = Faults(),
        reply: Reply | Callable[[dict[str, Any]], Reply] = MappingProxyType({}),
        port: int = 0,
    ):
        self.log: list[Logged] = []
        self.most_at_once = 0
        self.port = port
        self._at_once = 0
        self._reply = reply
        self._latency = latency
        self._faults = faults
        self._sent: Counter[bytes] = Counter()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stub", daemon=True)

    @property
    def api_base(self) -> str:
        """What a route is given to reach it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> StubServer:
        self._thread.start()
        self._runner = self._on_loop(self._start())
        return self

    def __exit__(self, *raised: object) -> None:
        self._on_loop(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on_loop(self, coroutine: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result()

    async def _start(self) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/log", self._show_log)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_post("/{path:.*}", self._unknown)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _stop(self) -> None:
        self._closing.set()
        await self._runner.cleanup()

    async def _show_log(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(each) for each in self.log])

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, completion)

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, embedding)

    async def _serve(self, request: web.Request, made: _Made) -> web.StreamResponse:
        raw = await request.read()
        self._sent[raw] += 1
        fault = self._faults.of(raw, self._sent[raw])
        body = json.loads(raw)
        answer = self._altered(made(body, raw, fault), body)
        usage = answer["usage"] if fault in ("none", "empty", "cut_off") else {}
        self._note(request, body, fault, usage)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if fault == "hangs":
                await self._closing.wait()
            await asyncio.sleep(self._latency)
        finally:
            self._at_once -= 1
        if fault == "unauthorized":
            key = request.headers.get("Authorization", "")
            problem = {"error": {"message": f"Incorrect API key provided: {key}"}}
            return web.json_response(problem, status=401)
        return self._respond(answer, fault)

    def _altered(self, answer: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        reply = self._reply(body) if callable(self._reply) else self._reply
        first: dict[str, Any] = next(iter(answer.get("choices") or answer["data"]), {})
        for name, value in reply.items():
            inner = first.get("message", first)
            holder = next((each for each in (answer, first) if name in each), inner)
            holder[name] = value
        return answer

    async def _unknown(self, request: web.Request) -> web.Response:
        """Faults are those of chats that break at once."""
        raw = await request.read()
        self._sent[raw] += 1
        fault = self._faults.of(raw, self._sent[raw])
        if fault in ("rate_limited", "broken"):
            self._note(request, json.loads(raw), fault, {})
            return self._respond({}, fault)
        self._note(request, json.loads(raw), "unknown", {})
        return web.json_response({"error": {"message": "no such address"}}, status=404)

    def _note(
        self, request: web.Request, body: dict[str, Any], fault: str, usage: dict[str, int]
    ) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        billed = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
        self.log.append(Logged(request.path, body, headers, fault, *billed))

    def _respond(self, answer: dict[str, Any], fault: str) -> web.Response:
        if fault == "rate_limited":
            problem = {"error": {"message": "slow down", "type": "rate_limit", "code": "429"}}
            headers = {RETRY_AFTER: f"{self._faults.retry_after:g}"}
            return web.json_response(problem, status=429, headers=headers)
        if fault == "broken":
            return web.json_response({"error": {"message": "out of order"}}, status=500)
        text = json.dumps(answer)
        kept = text[: len(text) // 2] if fault == "cut_off" else text
        return web.Response(text=kept, content_type="application/json")


def main() -> None:
    """Serve until interrupted; the log is at /log."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--latency", type=float, default=0.0, help="Seconds to every answer.")
    arguments = parser.parse_args()
    if not 0 <= arguments.latency < math.inf:
        parser.error(f"--latency is {arguments.latency:g}; it must be a number of 0 or more")
    with StubServer(latency=arguments.latency, port=arguments.port) as server:
        print(server.api_base, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
