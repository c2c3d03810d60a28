"""System checks: faults with an id and a remedy. Importing this module registers them.

``checklist`` says what each id means. What the source of functions shows has ids from W010 on;
``source.rules`` finds it.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.db import connections, models, router

from inngest_django import conf
from inngest_django.checklist import CHECKS
from inngest_django.functions import registry

logger = logging.getLogger(__name__)

APP_LABEL = "inngest_django"
# Needed for RETURNING, which every guarded update uses.
MIN_SQLITE = (3, 35)
# Wire names of declared options that are stored, shown, and not acted on yet.
NOT_ENFORCED = (
    "batchEvents",
    "concurrency",
    "debounce",
    "priority",
    "rateLimit",
    "singleton",
    "throttle",
    "timeouts",
)


@register()
def check_settings(**_: Any) -> list[CheckMessage]:
    """Report what is wrong with ``INNGEST``."""
    return [_message("inngest.E001", problem) for problem in conf.problems()]


@register()
def check_function_ids(**_: Any) -> list[CheckMessage]:
    """Report ids that two different functions have."""
    return [
        _message("inngest.E002", f"Different functions have one id: {duplicate}.")
        for duplicate in registry.duplicates()
    ]


@register(Tags.models)
def check_routers(**_: Any) -> list[CheckMessage]:
    """Report a router that keeps a table away from ``INNGEST["DATABASE"]``."""
    alias = conf.get().DATABASE
    if alias not in settings.DATABASES:
        return []
    elsewhere: dict[str, list[str]] = {}
    for model in apps.get_app_config(APP_LABEL).get_models():
        for problem in _routed_elsewhere(model, alias):
            elsewhere.setdefault(problem, []).append(model.__name__)
    return [
        _message(
            "inngest.E003",
            f"Database routers {problem}: {', '.join(names)}. All tables of inngest_django must be"
            " in one database, because a step's outcome is one transaction.",
        )
        for problem, names in sorted(elsewhere.items())
    ]


def _routed_elsewhere(model: type[models.Model], alias: str) -> list[str]:
    problems = []
    if not router.allow_migrate_model(alias, model):
        problems.append(f"do not allow these tables in {alias!r}")
    for method in ("db_for_read", "db_for_write"):
        # Django asks the routers in turn; without an answer the engine's alias holds, which
        # is named in every query.
        for one in router.routers:
            ask = getattr(one, method, None)
            chosen = None if ask is None else ask(model)
            if chosen is not None:
                if chosen != alias:
                    problems.append(f"send {method[7:]}s of these tables to {chosen!r}")
                break
    return problems


@register()
def check_time_zone(**_: Any) -> list[CheckMessage]:
    """Report times without a zone in a database that stores them as local text."""
    if settings.USE_TZ or _vendor() != "sqlite":
        return []
    return [
        _message(
            "inngest.E004",
            "USE_TZ is False and the durable functions are in SQLite, which then stores local"
            " times: an hour repeats each autumn.",
        )
    ]


@register()
def check_database(**_: Any) -> list[CheckMessage]:
    """Report an alias that does not exist, and a SQLite that is too old."""
    alias = conf.get().DATABASE
    if alias not in settings.DATABASES:
        known = ", ".join(sorted(settings.DATABASES))
        return [
            _message(
                "inngest.E005",
                f'INNGEST["DATABASE"] is {alias!r}, which DATABASES does not have. It has: {known}.',
            )
        ]
    if _vendor() == "sqlite":
        return sqlite_version(_sqlite_version())
    return []


def sqlite_version(version: tuple[int, ...]) -> list[CheckMessage]:
    """Return the warning for a SQLite version, if there is one."""
    if version >= MIN_SQLITE:
        return []
    shown = ".".join(map(str, version))
    return [
        _message(
            "inngest.W002", f"SQLite {shown} has no RETURNING; runs cannot make progress on it."
        )
    ]


@register()
def check_enforcement(**_: Any) -> list[CheckMessage]:
    """Report options that are accepted and not enforced yet, one warning a function."""
    found: list[CheckMessage] = []
    for function_id, function in sorted(registry.all().items()):
        names = not_enforced(function.config())
        if names:
            found.append(
                _message(
                    "inngest.W001",
                    f"Function {function_id!r} declares {', '.join(names)}, which this version"
                    " of inngest_django accepts but does not enforce yet.",
                )
            )
    return found


@register()
def check_source(**_: Any) -> list[CheckMessage]:
    """Report what the source and the options of functions show."""
    # Late: a process that never checks need not load it.
    from inngest_django.source.rules import findings
    from inngest_django.source.texts import Library

    library = Library()
    found: list[CheckMessage] = []
    for function_id, function in sorted(registry.all().items()):
        try:
            found += [
                _message(
                    finding.id,
                    finding.message,
                    obj=f"{_shown_path(finding.path)}:{finding.line}",
                )
                for finding in findings(function, library)
            ]
        except Exception:  # Source can be anything, and a command must start.
            logger.warning(
                "the source of a function could not be checked",
                exc_info=True,
                extra={"function_id": function_id},
            )
    return found


def _message(check_id: str, text: str, *, obj: object = None) -> CheckMessage:
    known = CHECKS[check_id]
    return (Error if known.is_error else Warning)(text, hint=known.hint, obj=obj, id=check_id)


def _shown_path(path: str) -> str:
    try:
        relative = os.path.relpath(path)
    except ValueError:  # On another drive.
        return path
    return path if relative.startswith(os.pardir) else relative


def not_enforced(config: Any) -> list[str]:
    """Return the names of options in a configuration that nothing enforces yet."""
    return [name for name in NOT_ENFORCED if config.get(name) not in (None, [], {})]


def _vendor() -> str:
    alias = conf.get().DATABASE
    return str(connections[alias].vendor) if alias in settings.DATABASES else ""


def _sqlite_version() -> tuple[int, ...]:
    import sqlite3

    return sqlite3.sqlite_version_info
