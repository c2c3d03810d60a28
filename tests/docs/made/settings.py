"""The table of settings."""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Callable, Mapping

from inngest_django import conf
from inngest_django.durations import format_duration
from tests.docs.made import table

# The words for what a setting's parser takes.
_TYPES: Mapping[Callable[..., object], str] = {
    conf._text: "text",
    conf._flag: "bool",
    conf._positive_int: "count",
    conf._duration: "duration",
    conf._positive_duration: "duration",
    conf._optional_duration: "duration or `None`",
    conf._durations: "list of durations",
    conf._keys: "list of texts",
    conf._mapping: "pattern to queue",
    conf._checkpointing: "bool or mapping",
}
_OF_ITS_OWN = {
    "DATABASE": "alias",
    "QUEUE": "Celery queue",
    "CONTROL_QUEUE": "Celery queue",
    "MAX_EVENT_BYTES": "bytes",
}
_MORE = {
    "APP_ID": "See [limits](limits.md#not-yet).",
    "CHECKPOINTING": "See [how steps replay](../explanation/how-steps-replay.md#checkpointing).",
}
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def keys() -> str:
    """Return the table of all keys of ``INNGEST``."""
    text = inspect.getdoc(conf.Settings) or ""
    meanings = dict(_ATTRIBUTE.findall(text.partition("Attributes:\n")[2]))
    defaults = conf.Settings()
    rows = [
        [
            f"`{key}`",
            f"`{_literal(getattr(defaults, key))}`",
            _OF_ITS_OWN.get(key) or _TYPES[conf._PARSERS[key]],
            f"{meanings[key].replace('``', '`')} {_MORE.get(key, '')}",
        ]
        for key in conf.Settings.__dataclass_fields__
    ]
    return table(["Key", "Default", "Type", "Meaning"], rows)


def _literal(value: object) -> str:
    """Return a value as one would write it into the settings."""
    if isinstance(value, dt.timedelta):
        return f'"{format_duration(value)}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
