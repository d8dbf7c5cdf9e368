"""Messages -> tokens or text by a model's own chat template; message text cannot be structure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from popi_prompt.errors import BadResponse, UnknownModel
from popi_prompt.models.cache_key import cache_key
from popi_prompt.prompts import Messages, as_data

# Private-use characters: no template prints them by itself, no tokenizer makes them structure.
_OPEN, _CLOSE = "\ue000", "\ue001"
_PLACEHOLDER = re.compile(f"{_OPEN}(\\d+){_CLOSE}")

Tokenize = Callable[[str, bool], list[int]]


class ChatTemplate:
    """A Jinja chat template. Text between messages may hold control tokens, messages may not.

    `digest` is the same for templates that print the same, wherever they come from.
    `adds_bos`: whether the model's tokenizer puts the begin-of-text in front of any text by itself.
    """

    def __init__(
        self,
        source: str | None,
        *,
        model: str,
        bos: str = "",
        eos: str = "",
        adds_bos: bool = True,
    ):
        if source is None:
            raise UnknownModel(f"{model!r} has no chat template; use an instruction-tuned model")
        from jinja2 import TemplateError
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.globals["raise_exception"] = self._refuse
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise UnknownModel(
                f"{model!r} has a chat template that is not valid: {_one_line(error)}"
            ) from None
        self.digest = cache_key({"template": [source, bos, eos, adds_bos]})
        self._variables = {"bos_token": bos, "eos_token": eos}
        self._bos = bos
        self._adds_bos = adds_bos

    def tokens(self, messages: Messages, tokenize: Tokenize, bos_token: int | None) -> list[int]:
        """The prompt's tokens, up to where the assistant starts to answer.

        `tokenize(text, special)` is called once for each stretch of template text (special) and
        once for each message's content (not special). Raises `BadResponse` for messages the
        template refuses, fails on or has no place for.
        """
        pieces = self._pieces(messages)
        tokens: list[int] = []
        begun = bool(self._bos) and pieces[0].startswith(self._bos)
        if bos_token is not None and not begun:
            tokens.append(bos_token)
        for i, piece in enumerate(pieces):
            if i % 2:
                tokens += tokenize(messages[int(piece)].content, False)
            elif piece:
                tokens += tokenize(piece, True)
        return tokens

    def text(self, messages: Messages) -> str:
        """The prompt as text, for a server that reads control tokens wherever they stand.

        So every content passes `as_data`. The begin-of-text is left out where the server's
        tokenizer adds it. Raises as `tokens` does.
        """
        pieces = self._pieces(messages)
        if self._bos and self._adds_bos:
            pieces[0] = pieces[0].removeprefix(self._bos)
        return "".join(
            as_data(messages[int(piece)].content) if i % 2 else piece
            for i, piece in enumerate(pieces)
        )

    def _pieces(self, messages: Messages) -> list[str]:
        """Template text and, at odd places, the number of the message that stands there."""
        shown: list[dict[str, Any]] = [
            {"role": message.role, "content": f"{_OPEN}{i}{_CLOSE}"}
            for i, message in enumerate(messages)
        ]
        pieces = _PLACEHOLDER.split(self._rendered(shown))
        if sorted(map(int, pieces[1::2])) != list(range(len(messages))):
            roles = ", ".join(message.role for message in messages)
            raise BadResponse(f"the model's chat template does not print these messages: {roles}")
        return pieces

    def _rendered(self, messages: list[dict[str, Any]]) -> str:
        from jinja2 import TemplateError

        try:
            return self._template.render(
                messages=messages, add_generation_prompt=True, **self._variables
            )
        except (TemplateError, TypeError) as error:
            raise BadResponse(f"the model's chat template fails: {_one_line(error)}") from None

    @staticmethod
    def _refuse(problem: str) -> None:
        raise BadResponse(f"the model's chat template refuses the messages: {problem}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
