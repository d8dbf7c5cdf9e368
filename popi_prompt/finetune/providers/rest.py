"""JSON over HTTP for providers that have no client here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from popi_prompt.errors import FineTuningUnavailable
from popi_prompt.finetune.provider import Place
from popi_prompt.finetune.providers import answers

_REPEATABLE = ("GET", "DELETE")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rest:
    """Requests below an address. Raises as `FileStore` says; `what` is a verb phrase for errors.

    Those that change nothing, and deletions, are repeated up to 4 times.
    """

    place: Place
    base: str
    headers: Mapping[str, str] = field(repr=False)

    def ask(self, method: str, path: str, what: str, **how: Any) -> dict[str, Any]:
        """The JSON object that is answered; empty where nothing is."""
        response = self.send(method, path, what, **how)
        if not response.content:
            return {}
        try:
            answer = response.json()
        except ValueError:
            raise answers.unexpected(self.place, what, response.text) from None
        if not isinstance(answer, dict):
            raise answers.unexpected(self.place, what, answer)
        return answer

    def send(self, method: str, path: str, what: str, **how: Any) -> httpx.Response:
        """The answer, of a status below 400; redirections are the caller's."""
        if method not in _REPEATABLE:
            return self._send(method, path, what, **how)
        attempts = Retrying(
            retry=retry_if_exception_type(FineTuningUnavailable),
            stop=stop_after_attempt(4),
            wait=wait_exponential(multiplier=0.5, max=8),
            reraise=True,
        )
        return attempts(self._send, method, path, what, **how)

    def _send(self, method: str, path: str, what: str, **how: Any) -> httpx.Response:
        # A signed address of somebody else's storage must not see the key.
        elsewhere = path.startswith(("http://", "https://"))
        url = path if elsewhere else f"{self.base}{path}"
        headers = {**({} if elsewhere else self.headers), **how.pop("headers", {})}
        timeout = how.pop("timeout", self.place.timeout)
        try:
            response = httpx.request(method, url, headers=headers, timeout=timeout, **how)
        except httpx.ConnectError as error:
            raise answers.unreachable(self.place, what, error, arrived=False) from None
        except httpx.HTTPError as error:
            raise answers.unreachable(self.place, what, error, arrived=True) from None
        except httpx.InvalidURL as error:
            raise answers.unexpected(self.place, what, error) from None
        if response.status_code >= 400:
            retry = answers.seconds(response.headers)
            said = answers.message_of(_body(response))
            raise answers.failed(self.place, what, response.status_code, said, retry)
        return response

    def pages(
        self, path: str, what: str, key: str, params: Mapping[str, Any] = _NOTHING
    ) -> Iterator[dict[str, Any]]:
        """The objects under `key`, page by page as Google's conventions have it."""
        token = ""
        while True:
            query = {**params, **({"pageToken": token} if token else {})}
            answer = self.ask("GET", path, what, params=query)
            yield from objects(answer.get(key))
            token = str(answer.get("nextPageToken") or "")
            if not token:
                return


def objects(raw: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing of anything else."""
    return [each for each in raw if isinstance(each, dict)] if isinstance(raw, list) else []


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text
