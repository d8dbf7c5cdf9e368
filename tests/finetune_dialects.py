"""The tuning server in the words of Together, Fireworks and Vertex AI, by their documentation."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from finetune_server import CONTENT, Refusal, StoredFile, StoredJob, TuningServer

ACCOUNT, PROJECT, LOCATION, BUCKET = "acme", "proj", "us-central1", "training"
_TOGETHER = {
    "validating_files": "pending",
    "queued": "queued",
    "running": "running",
    "succeeded": "completed",
    "failed": "error",
    "cancelled": "cancelled",
}
_TOGETHER_FIELDS = {
    *("model", "training_file", "validation_file", "n_epochs", "batch_size", "learning_rate"),
    *("suffix", "training_method", "training_type", "n_evals", "n_checkpoints"),
}
_GOOGLE = {
    "validating_files": "JOB_STATE_VALIDATING",
    "queued": "JOB_STATE_PENDING",
    "running": "JOB_STATE_RUNNING",
    "failed": "JOB_STATE_FAILED",
    "cancelled": "JOB_STATE_CANCELLED",
}
_FIREWORKS_SFT = {"dataset", "displayName", "outputModel", "baseModel", "epochs", "learningRate"}
_FIREWORKS_DPO = {"dataset", "displayName", "trainingConfig", "lossConfig"}


class ManyTongues(TuningServer):
    """All of them on one port: below /together/v1, /fireworks and /vertex."""

    def routes(self, router: web.UrlDispatcher) -> None:
        super().routes(router)
        self._together(router, "/together/v1")
        self._fireworks(router, f"/fireworks/v1/accounts/{ACCOUNT}")
        self._vertex(router, "/vertex")

    def base(self, provider: str) -> str:
        paths = {"openai": "/v1", "together": "/together/v1"}
        return f"http://127.0.0.1:{self.port}{paths.get(provider, f'/{provider}')}"

    # -- Together --------------------------------------------------------------------------------

    def _together(self, router: web.UrlDispatcher, base: str) -> None:
        router.add_post(f"{base}/files", self._announce)
        router.add_put("/signed/{id}", self._put)
        router.add_post(base + "/files/{id}/preprocess", self._together_file)
        router.add_get(f"{base}/files", self._together_files)
        router.add_delete(base + "/files/{id}", self._delete)
        router.add_post(f"{base}/fine-tunes", self._together_create)
        router.add_get(f"{base}/fine-tunes", self._together_jobs)
        router.add_get(base + "/fine-tunes/{id}", self._together_job)
        router.add_post(base + "/fine-tunes/{id}/cancel", self._together_cancel)
        router.add_get(base + "/fine-tunes/{id}/events", self._together_events)

    async def _announce(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "fine-tune"
        file = self.store(str(form["file_name"]), b"")
        file.sent = False
        address = f"http://127.0.0.1:{self.port}/signed/{file.file_id}"
        headers = {"Location": address, "X-Together-File-Id": file.file_id}
        return web.Response(status=302, headers=headers)

    async def _put(self, request: web.Request) -> web.Response:
        assert "authorization" not in {name.lower() for name in request.headers}
        file = self.files[request.match_info["id"]]
        file.content, file.sent = await request.read(), True
        return web.Response()

    async def _together_file(self, request: web.Request) -> web.Response:
        return web.json_response(_together_file(self.files[request.match_info["id"]]))

    async def _together_files(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [*map(_together_file, self.files.values())]})

    async def _together_create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if set(body) - _TOGETHER_FIELDS:
            raise Refusal(422, f"unknown fields in {sorted(body)}")
        method = {"sft": "supervised", "dpo": "dpo"}[body["training_method"]["method"]]
        job = self.start(
            body["model"], method, body["training_file"], body.get("validation_file"), body
        )
        return web.json_response(self._together_shown(job))

    async def _together_jobs(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [*map(self._together_shown, self.jobs.values())]})

    async def _together_job(self, request: web.Request) -> web.Response:
        return web.json_response(self._together_shown(self.job(request.match_info["id"])))

    async def _together_cancel(self, request: web.Request) -> web.Response:
        job = self.job(request.match_info["id"])
        self.cancel(job)
        return web.json_response(self._together_shown(job))

    async def _together_events(self, request: web.Request) -> web.Response:
        told = self.messages(self.job(request.match_info["id"]))
        events = [
            {"object": "fine-tune-event", "created_at": f"2026-{n:02}", "message": m, "type": "x"}
            for n, m in enumerate(told, 1)
        ]
        return web.json_response({"data": events[::-1]})

    def _together_shown(self, job: StoredJob) -> dict[str, Any]:
        state = self.state(job)
        return {
            "id": job.job_id,
            "status": _TOGETHER[state],
            "training_file": job.training,
            "suffix": job.body["suffix"],
            "model_output_name": self.tuned(job),
            "token_count": 1234,
            "events": [{"message": job.error}] if job.error else [],
        }

    # -- Fireworks -------------------------------------------------------------------------------

    def _fireworks(self, router: web.UrlDispatcher, base: str) -> None:
        router.add_post(f"{base}/datasets", self._dataset)
        router.add_post(base + "/datasets/{id}:upload", self._fill)
        router.add_get(f"{base}/datasets", self._datasets)
        router.add_get(base + "/datasets/{id}", self._show_dataset)
        router.add_delete(base + "/datasets/{id}", self._delete)
        for kind in ("supervisedFineTuningJobs", "dpoJobs"):
            router.add_post(f"{base}/{kind}", self._fireworks_create)
            router.add_get(f"{base}/{kind}", self._fireworks_jobs)
            router.add_get(f"{base}/{kind}/{{id}}", self._fireworks_job)
            router.add_post(f"{base}/{kind}/{{id}}:cancel", self._google_cancel)

    async def _dataset(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["datasetId"] in self.files:
            raise Refusal(409, "dataset already exists")
        file = self.store(f"{body['datasetId']}.jsonl", b"", body["datasetId"])
        file.sent = False
        return web.json_response(_dataset(file))

    async def _fill(self, request: web.Request) -> web.Response:
        file = self.files[request.match_info["id"]]
        file.content, file.sent = CONTENT.get(), True
        return web.json_response({})

    async def _datasets(self, request: web.Request) -> web.Response:
        return self._tokens(request, "datasets", [*map(_dataset, self.files.values())])

    async def _show_dataset(self, request: web.Request) -> web.Response:
        return web.json_response(_dataset(self.files[request.match_info["id"]]))

    async def _fireworks_create(self, request: web.Request) -> web.Response:
        body = await request.json()
        supervised = request.path.endswith("supervisedFineTuningJobs")
        known = _FIREWORKS_SFT | {"evaluationDataset"} if supervised else _FIREWORKS_DPO
        if set(body) - known:
            raise Refusal(400, f"unknown fields in {sorted(body)}")
        job_id = request.query["supervisedFineTuningJobId" if supervised else "dpoJobId"]
        if job_id in self.jobs:
            raise Refusal(409, "job already exists")
        training = body["dataset"].rpartition("/")[2]
        checked = body.get("evaluationDataset")
        job = self.start(
            (body if supervised else body["trainingConfig"])["baseModel"],
            "supervised" if supervised else "dpo",
            training,
            checked and checked.rpartition("/")[2],
            body,
            job_id,
        )
        return web.json_response(self._fireworks_shown(job))

    async def _fireworks_jobs(self, request: web.Request) -> web.Response:
        kind = request.path.rpartition("/")[2]
        wanted = "dpo" if kind == "dpoJobs" else "supervised"
        jobs = [self._fireworks_shown(j) for j in self.jobs.values() if j.method == wanted]
        return self._tokens(request, kind, jobs)

    async def _fireworks_job(self, request: web.Request) -> web.Response:
        return web.json_response(self._fireworks_shown(self.job(request.match_info["id"])))

    async def _google_cancel(self, request: web.Request) -> web.Response:
        self.cancel(self.job(request.match_info["id"]))
        return web.json_response({})

    def _fireworks_shown(self, job: StoredJob) -> dict[str, Any]:
        state = self.state(job)
        kind = "dpoJobs" if job.method == "dpo" else "supervisedFineTuningJobs"
        return {
            **job.body,
            "name": f"accounts/{ACCOUNT}/{kind}/{job.job_id}",
            "state": _GOOGLE.get(state, "JOB_STATE_COMPLETED"),
            "status": {"code": "OK", "message": job.error or ""},
        }

    # -- Vertex AI and Google Cloud Storage ------------------------------------------------------

    def _vertex(self, router: web.UrlDispatcher, base: str) -> None:
        objects = f"/storage/v1/b/{BUCKET}/o"
        router.add_post(f"{base}/upload{objects}", self._object)
        router.add_get(base + objects, self._objects)
        router.add_delete(base + objects + "/{name}", self._delete_object)
        jobs = f"{base}/v1/projects/{PROJECT}/locations/{LOCATION}/tuningJobs"
        router.add_post(jobs, self._vertex_create)
        router.add_get(jobs, self._vertex_jobs)
        router.add_get(jobs + "/{id}", self._vertex_job)
        router.add_post(jobs + "/{id}:cancel", self._google_cancel)

    async def _object(self, request: web.Request) -> web.Response:
        assert request.query["uploadType"] == "media"
        name = request.query["name"]
        file = self.store(name, await request.read(), f"gs://{BUCKET}/{name}")
        return web.json_response(_object(file))

    async def _objects(self, request: web.Request) -> web.Response:
        found = [_object(f) for f in self.files.values() if f.name.startswith("popi-")]
        return self._tokens(request, "items", found)

    async def _delete_object(self, request: web.Request) -> web.Response:
        if self.files.pop(f"gs://{BUCKET}/{request.match_info['name']}", None) is None:
            raise Refusal(404, "no such object")
        return web.Response(status=204)

    async def _vertex_create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if set(body) - {"baseModel", "tunedModelDisplayName", "supervisedTuningSpec"}:
            raise Refusal(400, f"unknown fields in {sorted(body)}")
        spec = body["supervisedTuningSpec"]
        training = spec["trainingDatasetUri"]
        for line in self.files[training].content.splitlines():
            assert json.loads(line)["contents"][-1]["role"] == "model"
        job = StoredJob(
            self.new_id("tuning"), body["baseModel"], "supervised", training, None, body
        )
        self.jobs[job.job_id] = job
        return web.json_response(self._vertex_shown(job))

    async def _vertex_jobs(self, request: web.Request) -> web.Response:
        return self._tokens(request, "tuningJobs", [*map(self._vertex_shown, self.jobs.values())])

    async def _vertex_job(self, request: web.Request) -> web.Response:
        return web.json_response(self._vertex_shown(self.job(request.match_info["id"])))

    def _vertex_shown(self, job: StoredJob) -> dict[str, Any]:
        state = self.state(job)
        parent = f"projects/{PROJECT}/locations/{LOCATION}"
        done = {"tunedModel": {"endpoint": f"{parent}/endpoints/77"}} if state == STATE_DONE else {}
        name = f"{parent}/tuningJobs/{job.job_id}"
        return {
            **job.body,
            "name": name,
            "state": _GOOGLE.get(state, "JOB_STATE_SUCCEEDED"),
            **done,
        }

    def _tokens(self, request: web.Request, key: str, items: list[Any]) -> web.Response:
        at = int(request.query.get("pageToken", "0"))
        rest = {"nextPageToken": str(at + self.page)} if len(items) > at + self.page else {}
        return web.json_response({key: items[at : at + self.page], **rest})


STATE_DONE = "succeeded"


def _together_file(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.file_id,
        "object": "file",
        "filename": file.name,
        "bytes": len(file.content),
        "purpose": "fine-tune",
        "Processed": file.sent,
        "FileType": "jsonl",
    }


def _dataset(file: StoredFile) -> dict[str, Any]:
    state = "READY" if file.sent else "UPLOADING"
    return {"name": f"accounts/{ACCOUNT}/datasets/{file.file_id}", "state": state}


def _object(file: StoredFile) -> dict[str, Any]:
    return {"name": file.name, "size": str(len(file.content))}
