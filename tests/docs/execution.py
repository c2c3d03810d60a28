"""Executes the Python blocks of a page, one after the other, in one namespace."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import types
from collections.abc import Iterator
from typing import Any

from celery import _state, current_app

from inngest_django import Function
from inngest_django.functions import registry
from tests.docs.pages import page


@dataclasses.dataclass(frozen=True, slots=True)
class Executed:
    """A page after its blocks ran.

    Attributes:
        names: What they defined.
        settings: Each value of ``INNGEST`` that a block set.
    """

    names: dict[str, Any]
    settings: tuple[dict[str, Any], ...]

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    @property
    def functions(self) -> dict[str, Function]:
        """The durable functions, by the name that the page gave them."""
        return {n: value for n, value in self.names.items() if isinstance(value, Function)}


def execute(name: str) -> Executed:
    """Run the blocks of a page that are not marked to be skipped."""
    module = types.ModuleType(f"docs.{name}")
    names = module.__dict__
    # What startproject wrote, to which a page adds.
    names["INSTALLED_APPS"] = []
    settings: list[dict[str, Any]] = []
    _forget_tasks(module.__name__)
    # What a page serves is registered while it is read.
    with registry.only([]), _same_celery_app(), _importable(name, module):
        for block in page(name).blocks("python"):
            if block.skipped:
                continue
            # So that an error names the page's own line.
            source = "\n" * (block.line - 1) + block.code
            before = names.pop("INNGEST", None)
            exec(compile(source, str(page(name).path), "exec", dont_inherit=True), names)
            if "INNGEST" in names:
                settings.append(names["INNGEST"])
            elif before is not None:
                names["INNGEST"] = before
    return Executed(names, tuple(settings))


@contextlib.contextmanager
def _importable(name: str, module: types.ModuleType) -> Iterator[None]:
    """Let a page's test import what the page put into ``shop/functions.py``."""
    files = [block.file for block in page(name).blocks("python") if block.file.endswith(".py")]
    modules = {file.removesuffix(".py").replace("/", "."): module for file in files}
    modules |= {dotted.rpartition(".")[0]: module for dotted in modules if "." in dotted}
    before = {dotted: sys.modules.get(dotted) for dotted in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for dotted, old in before.items():
            if old is None:
                del sys.modules[dotted]
            else:
                sys.modules[dotted] = old


@contextlib.contextmanager
def _same_celery_app() -> Iterator[None]:
    """Undo what ``Celery("mysite")`` does: it becomes the current app of the process.

    Undo also that ``shared_task`` adds its tasks to every app that is made later.
    """
    before = current_app._get_current_object()
    shared = set(_state._on_app_finalizers)
    try:
        yield
    finally:
        _state._on_app_finalizers = shared
        before.set_current()
        before.set_default()


def _forget_tasks(module: str) -> None:
    """Take away the tasks of an earlier execution of a page, whose names are used again.

    ``shared_task`` puts them into every app that is alive, those of other tests too.
    """
    for app in _state._get_active_apps():
        # A copy, because asking an app for its tasks the first time adds some.
        for name, task in list(app.tasks.items()):
            if task.run.__module__ == module:
                app.tasks.unregister(name)
