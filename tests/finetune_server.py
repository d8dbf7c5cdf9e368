"""A server that tunes: OpenAI's files and fine-tuning jobs, and models that truly learn.

It holds requests against the field names and types that OpenAI's client publishes, uploaded lines
against the documented formats, and takes a job through its states. A tuned model answers with what
the most similar training example answers. `finetune_dialects` adds other providers' addresses.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from aiohttp import web
from openai.types.fine_tuning import job_create_params
from pydantic import TypeAdapter, ValidationError

BASE_MODEL = "gpt-4o-mini-2024-07-18"
BASE_ANSWER = "be nice"
STATES = ("validating_files", "queued", "running", "succeeded")
FEWEST = 10
_PUBLISHED: TypeAdapter[Any] = TypeAdapter(job_create_params.JobCreateParams)
_FIELDS = set(job_create_params.JobCreateParams.__annotations__)
_METHOD_FIELDS = {
    "supervised": {"n_epochs", "batch_size", "learning_rate_multiplier"},
    "dpo": {"n_epochs", "batch_size", "learning_rate_multiplier", "beta"},
}
CONTENT: ContextVar[bytes] = ContextVar("content")  # of the file that a request sends
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class StoredFile:
    file_id: str
    name: str
    content: bytes
    sent: bool = True
    created: float = field(default_factory=time.monotonic)

    def examples(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.content.splitlines() if line.strip()]


@dataclass
class StoredJob:
    job_id: str
    model: str
    method: str
    training: str
    validation: str | None
    body: dict[str, Any]
    created: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    error: str | None = None


@dataclass
class Arrived:
    """A request as it came in; `body` is JSON, where it was."""

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: Any
    at: float = field(default_factory=time.monotonic)


class Refusal(Exception):
    def __init__(self, status: int, message: str, code: str | None = None):
        self.status, self.message, self.code = status, message, code
        super().__init__(message)


class TuningServer:
    """The server on a port of its own in a background thread; for `with`.

    `faults` maps "METHOD path" to what goes wrong with the next requests, in turn: an HTTP status
    instead of the work, "hang" or "lost" (the work is done, the answer never comes), "late" (the
    work is done after the connection is gone). `step` is how long a job stays in each state,
    `latency` how long a request takes before and after its work. `lag` is how long it takes until a
    new file is in the list, `retry_after` what a 429 asks to wait.
    """

    def __init__(self, *, step: float = 0.02, latency: float = 0.0, page: int = 20):
        self.step, self.latency, self.page = step, latency, page
        self.files: dict[str, StoredFile] = {}
        self.jobs: dict[str, StoredJob] = {}
        self.log: list[Arrived] = []
        self.faults: dict[str, deque[int | str]] = {}
        self.refusal = "Fine-tuning is not available to your organization."
        self.lag, self.retry_after = 0.0, "0.01"
        self.port = 0
        self._count = Counter[str]()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._later: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tuning", daemon=True)

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def fault(self, route: str, *faults: int | str) -> None:
        self.faults.setdefault(route, deque()).extend(faults)

    def asked(self, method: str, path: str) -> list[Arrived]:
        return [each for each in self.log if (each.method, each.path) == (method, path)]

    # -- the thread ------------------------------------------------------------------------------

    def __enter__(self) -> TuningServer:
        self._thread.start()
        self._runner = self._on_loop(self._start())
        return self

    def __exit__(self, *raised: object) -> None:
        self._on_loop(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on_loop(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def finish(self) -> None:
        """Until all that is done late is done."""
        self._on_loop(self._finish())

    async def _finish(self) -> None:
        await asyncio.gather(*self._later)

    async def _start(self) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 28, middlewares=[self._around])
        self.routes(app.router)
        # Work goes on after a client is gone, as it does at a provider.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _stop(self) -> None:
        self._closing.set()
        await self._finish()
        await self._runner.cleanup()

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Log, faults, latency, refusals."""
        body = None
        if request.content_type == "multipart/form-data":
            form = await request.post()
            if isinstance(upload := form.get("file"), web.FileField):
                CONTENT.set(upload.file.read())  # the file is closed with the request
        elif await request.read() and request.content_type == "application/json":
            body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.log.append(Arrived(request.method, request.path, headers, dict(request.query), body))
        waiting = self.faults.get(f"{request.method} {request.path}")
        fault = waiting.popleft() if waiting else None
        if isinstance(fault, int):
            headers = {"Retry-After": self.retry_after} if fault == 429 else {}
            problem = {"error": {"message": self.refusal, "code": f"fault_{fault}"}}
            return web.json_response(problem, status=fault, headers=headers)
        await asyncio.sleep(self.latency)
        if fault == "late":
            task = asyncio.ensure_future(self._late(request, handler))
            self._later.add(task)
        else:
            answer = await self._answer(request, handler)
        if fault in ("lost", "late"):
            assert request.transport is not None
            request.transport.abort()
            raise web.HTTPBadGateway
        if fault == "hang":
            await self._closing.wait()
        await asyncio.sleep(self.latency)
        return answer

    async def _late(self, request: web.Request, handler: Handler) -> None:
        await asyncio.sleep(0.2)
        await self._answer(request, handler)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            problem = {"message": refusal.message, "code": refusal.code, "type": "invalid"}
            return web.json_response({"error": problem}, status=refusal.status)

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/files", self._upload)
        router.add_get("/v1/files", self._list_files)
        router.add_delete("/v1/files/{id}", self._delete)
        jobs = "/v1/fine_tuning/jobs"
        router.add_post(jobs, self._create)
        router.add_get(jobs, self._list_jobs)
        router.add_get(jobs + "/{id}", self._show)
        router.add_post(jobs + "/{id}/cancel", self._cancel)
        router.add_get(jobs + "/{id}/events", self._events)
        router.add_get(jobs + "/{id}/checkpoints", self._checkpoints)
        router.add_post("/v1/chat/completions", self._chat)

    # -- what every dialect shares ---------------------------------------------------------------

    def new_id(self, kind: str) -> str:
        self._count[kind] += 1
        return f"{kind}-{self._count[kind]:04d}"

    def store(self, name: str, content: bytes, file_id: str | None = None) -> StoredFile:
        file = StoredFile(file_id or self.new_id("file"), name, content)
        self.files[file.file_id] = file
        return file

    def start(
        self,
        model: str,
        method: str,
        training: str,
        validation: str | None,
        body: dict[str, Any],
        job_id: str | None = None,
    ) -> StoredJob:
        for file_id in filter(None, (training, validation)):
            if file_id not in self.files:
                raise Refusal(400, f"No such File object: {file_id}", "invalid_file")
        job = StoredJob(job_id or self.new_id("ftjob"), model, method, training, validation, body)
        for file_id in filter(None, (training, validation)):
            job.error = job.error or problem_with(self.files[file_id], method)
        self.jobs[job.job_id] = job
        return job

    def job(self, job_id: str) -> StoredJob:
        if job_id not in self.jobs:
            raise Refusal(404, f"Could not find fine tune: {job_id}", "fine_tune_not_found")
        return self.jobs[job_id]

    def state(self, job: StoredJob) -> str:
        if job.cancelled:
            return "cancelled"
        at = min(int((time.monotonic() - job.created) / max(self.step, 1e-9)), len(STATES) - 1)
        if job.error is not None and at > 0:
            return "failed"
        return STATES[at]

    def cancel(self, job: StoredJob) -> None:
        if self.state(job) in ("succeeded", "failed", "cancelled"):
            raise Refusal(400, "Job has already completed", "invalid_state")
        job.cancelled = True

    def tuned(self, job: StoredJob) -> str:
        return f"ft:{job.model}:popi::{job.job_id}"

    def answer(self, model: str, messages: list[dict[str, str]]) -> str:
        """By the most similar training example of a tuned model; always the same of others."""
        job = next((each for each in self.jobs.values() if self.tuned(each) == model), None)
        if job is None:
            return BASE_ANSWER
        examples = self.files[job.training].examples()
        asked = [words(question(example)) for example in examples]
        known = Counter(word for each in asked for word in each)
        wanted = words(messages[-1]["content"])
        nearest = max(range(len(examples)), key=lambda at: similarity(wanted, asked[at], known))
        return preferred(examples[nearest])

    # -- OpenAI ----------------------------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        upload, purpose = form.get("file"), form.get("purpose")
        if purpose != "fine-tune" or not isinstance(upload, web.FileField):
            raise Refusal(400, "'purpose' or 'file' is missing", "missing_parameter")
        return web.json_response(_file(self.store(upload.filename, CONTENT.get())))

    async def _list_files(self, request: web.Request) -> web.Response:
        before = time.monotonic() - self.lag
        listed = [each for each in self.files.values() if each.created <= before]
        return self._page(request, [_file(each) for each in listed])

    async def _delete(self, request: web.Request) -> web.Response:
        file_id = request.match_info["id"]
        if self.files.pop(file_id, None) is None:
            raise Refusal(404, f"No such File object: {file_id}")
        return web.json_response({"id": file_id, "object": "file", "deleted": True})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        method = published(body)
        job = self.start(
            body["model"], method, body["training_file"], body.get("validation_file"), body
        )
        return web.json_response(self._shown(job))

    async def _list_jobs(self, request: web.Request) -> web.Response:
        return self._page(request, [self._shown(each) for each in reversed(self.jobs.values())])

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(self.job(request.match_info["id"])))

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self.job(request.match_info["id"])
        self.cancel(job)
        return web.json_response(self._shown(job))

    async def _events(self, request: web.Request) -> web.Response:
        job = self.job(request.match_info["id"])
        events = [
            {
                "id": f"ftevent-{job.job_id}-{number}",
                "object": "fine_tuning.job.event",
                "created_at": 1_700_000_000 + number,
                "level": "info",
                "message": message,
                "type": "message",
            }
            for number, message in enumerate(self.messages(job))
        ]
        return self._page(request, events[::-1])

    def messages(self, job: StoredJob) -> list[str]:
        """What has been said so far, oldest first."""
        told = ["Created fine-tuning job", "Validating training file"]
        reached = self.state(job)
        if reached in ("queued", "running", "succeeded"):
            told.append("Files validated, moving job to queued state")
        if reached in ("running", "succeeded"):
            told += ["Fine-tuning job started", "Step 1/2: training loss=0.71"]
        if reached == "succeeded":
            told += ["New fine-tuned model created", "The job has successfully completed"]
        return told

    async def _checkpoints(self, request: web.Request) -> web.Response:
        job = self.job(request.match_info["id"])
        done = self.state(job) == "succeeded"
        found = [
            {
                "id": f"ftckpt-{job.job_id}-{step}",
                "object": "fine_tuning.job.checkpoint",
                "created_at": 1_700_000_000 + step,
                "fine_tuned_model_checkpoint": f"{self.tuned(job)}:ckpt-step-{step}",
                "fine_tuning_job_id": job.job_id,
                "metrics": {"step": step},
                "step_number": step,
            }
            for step in ((2, 1) if done else ())
        ]
        return self._page(request, found)

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        text = self.answer(body["model"], body["messages"])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        return web.json_response(
            {
                "id": "chat",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [{**choice, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
            }
        )

    def _page(self, request: web.Request, items: list[dict[str, Any]]) -> web.Response:
        after = request.query.get("after")
        if after is not None:
            at = [each["id"] for each in items].index(after)
            items = items[at + 1 :]
        limit = min(int(request.query.get("limit", self.page)), self.page)
        more = len(items) > limit
        return web.json_response({"object": "list", "data": items[:limit], "has_more": more})

    def _shown(self, job: StoredJob) -> dict[str, Any]:
        state = self.state(job)
        failed = {"code": "invalid_training_file", "message": job.error, "param": "training_file"}
        return {
            "id": job.job_id,
            "object": "fine_tuning.job",
            "created_at": 1_700_000_000,
            "organization_id": "org-popi",
            "model": job.model,
            "status": state,
            "training_file": job.training,
            "validation_file": job.validation,
            "fine_tuned_model": self.tuned(job) if state == "succeeded" else None,
            "trained_tokens": 1234 if state == "succeeded" else None,
            "error": failed if state == "failed" else None,
            "hyperparameters": {"n_epochs": "auto"},
            "method": job.body.get("method"),
            "metadata": job.body.get("metadata"),
            "result_files": [],
            "seed": 0,
        }


def published(body: dict[str, Any]) -> str:
    """The method, where names and types of all fields are the published ones."""
    for name in body:
        if name not in _FIELDS:
            raise Refusal(400, f"Unrecognized request argument supplied: {name}", "unknown")
    try:
        _PUBLISHED.validate_python(body)
    except ValidationError as error:
        raise Refusal(400, f"Invalid request: {error.errors()[0]['loc']}", "invalid") from None
    if not body["model"].startswith("gpt-"):
        raise Refusal(
            400, f"Model {body['model']} is not available for fine-tuning", "model_not_available"
        )
    method = body.get("method") or {"type": "supervised"}
    kind = str(method["type"])
    given = set(method.get(kind, {}).get("hyperparameters", {}))
    if set(method) - {"type", kind} or given - _METHOD_FIELDS[kind]:
        raise Refusal(400, f"Unknown parameter: 'method': {method}", "unknown_parameter")
    return kind


def problem_with(file: StoredFile, method: str) -> str | None:
    """As the documentation of the formats has it, or nothing."""
    try:
        examples = file.examples()
    except ValueError:
        return f"{file.name} is not JSONL"
    if len(examples) < FEWEST and "validation" not in file.name:
        return f"{file.name} has {len(examples)} examples, but must have at least {FEWEST}"
    for number, example in enumerate(examples, 1):
        if method == "dpo":
            parts = [example.get("input", {}).get("messages")]
            outputs = [example.get("preferred_output"), example.get("non_preferred_output")]
            known = {"input", "preferred_output", "non_preferred_output"}
        else:
            parts, outputs, known = [], [example.get("messages")], {"messages"}
        sound = all(map(_chat_messages, (*parts, *outputs))) and not set(example) - known
        if not sound or any(each and each[-1]["role"] != "assistant" for each in outputs):
            return f"{file.name}, line {number}: not the format for {method}"
    return None


def _chat_messages(raw: Any) -> bool:
    return bool(raw) and all(
        each["role"] in ("system", "user", "assistant") and each["content"] for each in raw
    )


def question(example: dict[str, Any]) -> str:
    asked = example["messages"][:-1] if "messages" in example else example["input"]["messages"]
    return str(asked[-1]["content"])


def preferred(example: dict[str, Any]) -> str:
    answers = example["messages"] if "messages" in example else example["preferred_output"]
    return str(answers[-1]["content"])


def words(text: str) -> set[str]:
    """Words, and pairs of neighbours: what was liked and what was not use the same ones."""
    found = re.findall(r"\w+", text.casefold())
    return {*found, *map(" ".join, pairwise(found))}


def similarity(one: set[str], other: set[str], known: Counter[str]) -> float:
    """Shared words, rare ones more, against all of the other's."""
    weight = {word: 1 / (1 + known[word]) for word in one | other}
    shared = sum(weight[word] for word in one & other)
    return shared / math.sqrt(1e-9 + sum(weight[word] for word in other))


def _file(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.file_id,
        "object": "file",
        "bytes": len(file.content),
        "created_at": 1_700_000_000,
        "filename": file.name,
        "purpose": "fine-tune",
        "status": "processed",
    }
