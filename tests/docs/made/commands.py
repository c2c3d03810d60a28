"""What each command says of itself: its help, its arguments and its options."""

from __future__ import annotations

import argparse
import re

from django.core.management import load_command_class

from tests.docs.made import table
from tests.repo.readme import ROOT

NAMES = sorted(
    path.stem for path in (ROOT / "inngest_django/management/commands").glob("inngest_*.py")
)
# Of Django's own; all commands have them, and --json is said with what it prints.
_LEFT_OUT = frozenset(
    [
        "--help",
        "--version",
        "--verbosity",
        "--settings",
        "--pythonpath",
        "--traceback",
        "--no-color",
        "--force-color",
        "--skip-checks",
        "--json",
    ]
)
# What the help says in the form of code, so that it reads well in a terminal and on a page.
_CODE = re.compile(r"(?<![\w`/])(--[a-z][\w-]*|[A-Z]+_[A-Z_]+|[\w]*inngest_[\w]+)(?![\w`])")


def about(name: str) -> str:
    """Return the made part of a command's section."""
    parser = load_command_class("inngest_django", name).create_parser("manage.py", name)
    actions = [
        action for action in parser._actions if not _LEFT_OUT.intersection(action.option_strings)
    ]
    help_text, _, example = " ".join((parser.description or "").split()).partition(" Example: ")
    made = [_marked(help_text).replace(". ", ".\n"), ""]
    if example:
        made += ["```console", f"$ python manage.py {example}", "```", ""]
    if actions:
        rows = [[f"`{_written(action)}`", _meaning(action)] for action in actions]
        made.append(table(["Argument", "Meaning"], rows))
    return "\n".join(made)


def _written(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        name = name.upper()
        return f"{name} [{name} ...]" if action.nargs == "+" else name
    option = next(o for o in action.option_strings if o.startswith("--"))
    if action.nargs == 0:
        return option
    return f"{option} [{name}]" if action.nargs == "?" else f"{option} {name}"


def _meaning(action: argparse.Action) -> str:
    text = _marked((action.help or "") % {"default": action.default})
    if action.choices is not None:
        text += f" One of {', '.join(f'`{choice}`' for choice in action.choices)}."
    return text


def _marked(text: str) -> str:
    return _CODE.sub(r"`\1`", text)
