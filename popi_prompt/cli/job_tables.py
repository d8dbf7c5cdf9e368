"""Jobs for people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import click

from popi_prompt.cli.render import plain, print_json
from popi_prompt.finetune.record import JobRecord


def print_job(record: JobRecord, as_json: bool) -> None:
    """A line for each thing that is known of it; on stderr what to do next."""
    if as_json:
        print_json(record.as_record())
        return
    lines = {
        "job": f"{record.key} ({record.job_id or 'not submitted to the end'})",
        "at": record.place.shown,
        "model": record.order.model,
        "method": record.order.method,
        "status": (record.status or "not submitted to the end").replace("_", " "),
        "tuned model": record.tuned_model,
        "checkpoints": ", ".join(record.checkpoints),
        "trained tokens": record.trained_tokens,
        "error": record.error,
    }
    for name, value in lines.items():
        if value:
            click.echo(plain(f"{name:<15}{value}"))
    if record.status == "succeeded":
        hint = f"popi-prompt finetune adopt {record.key[:8]} PROGRAM DATA -o tuned.json"
        click.echo(f"Next, see whether it wins:\n  {hint}", err=True)


def print_jobs(records: Sequence[JobRecord], as_json: bool) -> None:
    """A line for each job."""
    if as_json:
        print_json([record.as_record() for record in records])
        return
    for record in records:
        state = (record.status or "unsubmitted").replace("_", " ")
        about = f"{record.order.method:<10} {record.order.model} ({record.place.shown})"
        click.echo(plain(f"{record.key}  {state:<16} {about}"))
    if not records:
        click.echo("No jobs.", err=True)
