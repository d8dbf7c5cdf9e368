"""Options of `optimize` that say which models work, how it searches and what it maximises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from popi_prompt.candidate import DEMOS, Demos
from popi_prompt.cli.access import EMBEDDING_DEFAULT, SCORERS
from popi_prompt.cli.gathered import gathered
from popi_prompt.cli.number import Number
from popi_prompt.errors import UsageError

if TYPE_CHECKING:
    from popi_prompt.models.access import Access
    from popi_prompt.optimizers.effort import Auto
    from popi_prompt.rewards import Reward
    from popi_prompt.settings import Settings

DEFAULT_MODEL = "local/smollm2-135m"

_OPTIONS = (
    click.option("--generator", help=f"Frozen; answers.  [default: {DEFAULT_MODEL}]"),
    click.option("--inference-model", help=f"Summarizes.  [default: {DEFAULT_MODEL}]"),
    click.option("--proposer", help="Writes instructions.  [default: the inference model]"),
    click.option("--judge", help="Compares answers.  [default: the generator]"),
    click.option("--embedding-model", help=f"Places answers.  [{EMBEDDING_DEFAULT}]"),
    click.option("--scorer", help=f"{SCORERS}  [default: by route]"),
    click.option(
        "--reward",
        default="popi",
        show_default=True,
        type=click.Choice(["popi", "accuracy", "margin"]),
        help="What is maximised; see docs/scorers.md.",
    ),
    click.option(
        "--optimizer",
        default="popi",
        show_default=True,
        help="Or portrait, quotation, mipro, gepa, random, module:Class.",
    ),
    click.option(
        "--trials", type=click.IntRange(1), help="Candidates tried.  [default: by --auto 5, 8, 15]"
    ),
    click.option("--max-users", type=click.IntRange(3), help="Use at most this many users."),
    click.option("--held-out", type=click.IntRange(1), help="Report on at most this many users."),
    click.option(
        "--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all draws."
    ),
    click.option("--beta", type=Number(1e-6, 1e6), help="Of the reward popi.  [default: 0.01]"),
    click.option(
        "--token-budget",
        default=40,
        show_default=True,
        type=click.IntRange(0),
        help="Of a summary, free of --token-penalty.",
    ),
    click.option(
        "--token-penalty",
        default=0.0,
        show_default=True,
        type=Number(0, 1e6),
        help="Off the reward for each token over it.",
    ),
    click.option("--force", is_flag=True, help="Write what was found, proven better or not."),
    click.option(
        "--demos",
        type=click.Choice(DEMOS),
        help="Of invented people, or of your users, word for word.  [default: synthetic, unless "
        "all users are marked public]",
    ),
    click.option("--yes", is_flag=True, help="Do not ask before --demos real."),
    click.option("--folds", type=click.IntRange(3), help="First repeat the search on N folds."),
    click.option(
        "--auto",
        type=click.Choice(["light", "medium", "heavy"]),
        help="How much to look at, in place of --trials; light: on 100 users with one pair each "
        "at most 600 calls by likelihood, more by choice.  [default: medium]",
    ),
    click.option(
        "--pareto", is_flag=True, help="Two objectives: also keep what inserts fewer tokens."
    ),
)


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The options as they were given."""

    generator: str | None
    inference_model: str | None
    proposer: str | None
    judge: str | None
    embedding_model: str | None
    scorer: str | None
    reward: str
    optimizer: str
    trials: int | None
    max_users: int | None
    held_out: int | None
    seed: int
    beta: float | None
    token_budget: int
    token_penalty: float
    force: bool
    demos: Demos | None
    yes: bool
    folds: int | None
    auto: Auto | None
    pareto: bool

    def searched_by(self) -> str:
        """The optimizer's name. Raises `UsageError` where it has no second objective."""
        if not self.pareto:
            return self.optimizer
        if self.optimizer not in ("popi", "pareto"):
            raise UsageError(
                f"--pareto is of the optimizer 'popi', and --optimizer is {self.optimizer!r}; drop "
                "one"
            )
        return "pareto"

    def trades(self) -> bool:
        """Whether a front of several programs may come out."""
        return self.searched_by() == "pareto" or ":" in self.optimizer

    def maximised(self) -> Reward:
        """The reward that the options name. Raises `UsageError` for a --beta of another."""
        from popi_prompt.rewards import AccuracyReward, MarginReward, PopiReward

        beta, penalty = self.beta, self.token_penalty
        if beta is not None and self.reward != PopiReward.name:
            raise UsageError(
                f"--beta is of the reward 'popi', and --reward is {self.reward!r}; drop one"
            )
        if self.reward == PopiReward.name:
            popi = PopiReward(token_budget=self.token_budget, token_penalty=penalty)
            return popi if beta is None else replace(popi, beta=beta)
        other = {each.name: each for each in (AccuracyReward, MarginReward)}[self.reward]
        return other(token_budget=self.token_budget, token_penalty=penalty)

    def settings(self, access: Access) -> Settings:
        """All of them together."""
        from popi_prompt.settings import Settings

        return Settings(
            generator=access.name("generator", self.generator, DEFAULT_MODEL),
            inference_model=access.name("inference", self.inference_model, DEFAULT_MODEL),
            proposer=access.name("proposer", self.proposer, "") or None,
            judge=access.name("judge", self.judge, "") or None,
            embedding_model=self.embedding_model,
            scorer=self.scorer,
            reward=self.maximised(),
            optimizer=self.searched_by(),
            trials=self.trials,
            max_users=self.max_users,
            held_out=self.held_out,
            seed=self.seed,
            force=self.force,
            demos=self.demos,
            folds=self.folds,
            auto=self.auto,
            access=access,
        )


search_options = gathered(_OPTIONS, SearchOptions, "search")
