"""How the models of a run are reached, bounded and recorded. No program holds any of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from popi_prompt.errors import UsageError
from popi_prompt.events import Noted, Observer, ignore
from popi_prompt.models.books import Books
from popi_prompt.models.cache import AnswerCache
from popi_prompt.models.cache_stats import default_path
from popi_prompt.models.config import RoleConfig
from popi_prompt.models.door import Door
from popi_prompt.models.meter import Meter
from popi_prompt.models.roles import STANDS_IN, Role
from popi_prompt.models.route import Route, holds_address
from popi_prompt.models.spent import Caps
from popi_prompt.models.trace import Trace


@dataclass(frozen=True, slots=True)
class Access:
    """`roles` as `load_config` reads them; `cache` keeps answers on disk for later runs.

    `trace` is a file to which every call is appended, without texts where `trace_text` is off.
    `meter` is shared by all doors, so that the caps hold for them together; without it each has
    its own.
    """

    roles: Mapping[str, RoleConfig] = field(default_factory=dict)
    caps: Caps = field(default_factory=Caps)
    cache: bool = False
    trace: Path | None = None
    trace_text: bool = True
    meter: Meter | None = None

    def name(self, role: Role, given: str | None, default: str) -> str:
        """The role's model: as given, else as configured, else the default."""
        configured = self.roles[role].model if role in self.roles else None
        return given or configured or default

    def names(self, recorded: Mapping[str, str], **given: str | None) -> dict[str, str]:
        """By role: as given, else as configured, else as a program records it."""
        return {
            role: self.name(cast(Role, role), given.get(role), name)
            for role, name in recorded.items()
        }

    def scoring_names(
        self, generator: str, *, judge: str | None = None, embedding: str | None = None
    ) -> dict[str, str]:
        """Models that only scorers ask, by role: the judge, and what embeds if there is one.

        Both are the generator's own unless named, as far as an embedded one embeds.
        """
        names = {"judge": self.name("judge", judge, generator)}
        own = generator if Route(generator).embedded else ""
        embeds = self.name("embedding", embedding, own)
        return {**names, "embedding": embeds} if embeds else names

    def routes(self, names: Mapping[str, str]) -> dict[str, Route]:
        """Routes to these models. A role without a section that shares its stand-in's model is
        reached the same way.

        Raises `UsageError` for a name that holds an address.
        """
        return {role: self._route(cast(Role, role), names) for role in names}

    def _route(self, role: Role, names: Mapping[str, str]) -> Route:
        if holds_address(names[role]):
            raise UsageError(
                f"{role} {names[role]!r} holds an address, and programs and results would record "
                "it; give the model's name, and the address as api_base under "
                f"[models.{role}] in a --config file"
            )
        if role in self.roles:
            return self.roles[role].route(names[role])
        other = STANDS_IN.get(role)
        if other is not None and names.get(other) == names[role]:
            return self._route(other, names)
        return Route(names[role])

    def door(self, names: Mapping[str, str], observer: Observer = ignore) -> Door:
        """The door to these models; close it.

        Raises `UsageError` for a cap in USD on a model whose price is not known, and for a trace
        that cannot be written.
        """

        def notify(text: str) -> None:
            observer(Noted(text))

        trace = None
        if self.trace is not None:
            trace = Trace(self.trace, text=self.trace_text, notify=notify)
        cache = AnswerCache(default_path(), notify=notify) if self.cache else None
        meter = Meter(self.caps, observer) if self.meter is None else self.meter
        books = Books(meter, cache=cache, trace=trace)
        return Door(self.routes(names), books=books)
