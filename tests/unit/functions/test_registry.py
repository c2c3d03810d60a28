from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from inngest_django.errors import ConfigError
from inngest_django.functions import registry
from inngest_django.functions.triggers import TriggerEvent
from tests.unit.drivers.support import function


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    with registry.only([]):
        yield


def handler(ctx: Any) -> None: ...


def other_handler(ctx: Any) -> None: ...


def make(fn_id: str, event: str = "a", expression: str | None = None, by: Any = handler) -> Any:
    return function(by, fn_id=fn_id, trigger=TriggerEvent(event=event, expression=expression))


def test_failure_handlers_are_functions_of_their_own() -> None:
    registry.register(function(handler, on_failure=handler))

    assert list(registry.all()) == ["app-fn", "app-fn-failure"]
    assert registry.get("app-fn-failure") is registry.all()["app-fn"].failure_function
    assert registry.get("nobody") is None


def test_same_object_is_one_function() -> None:
    fn = make("fn")
    registry.register(fn)
    version = registry.version()

    registry.register(fn)

    assert registry.version() == version
    assert registry.duplicates() == []


def test_two_functions_with_one_id_are_duplicates_and_the_first_one_counts() -> None:
    first, second = make("fn"), make("fn", by=other_handler)
    registry.register(first)
    registry.register(second)

    (duplicate,) = registry.duplicates()

    assert duplicate.functions == (first, second)
    assert str(duplicate) == f'"app-fn" ({__name__}.handler, {__name__}.other_handler)'
    assert registry.get("app-fn") is first


def test_reloaded_module_replaces_its_function() -> None:
    registry.register(make("fn"))
    version = registry.version()
    again = make("fn")

    registry.register(again)

    assert registry.duplicates() == []
    assert registry.get("app-fn") is again
    assert registry.version() > version


def test_only_functions_can_be_registered() -> None:
    with pytest.raises(ConfigError, match="create_function"):
        registry.register(handler)  # type: ignore[arg-type]


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, types.ModuleType]:
    """Two installed apps with a module ``functions`` each."""
    made = {}
    for name in ("app_one", "app_two"):
        made[name] = types.ModuleType(f"{name}.functions")
        monkeypatch.setitem(sys.modules, f"{name}.functions", made[name])
    configs = [types.SimpleNamespace(name=name) for name in made]
    monkeypatch.setattr("django.apps.apps.get_app_configs", lambda: configs)
    monkeypatch.setattr("django.utils.module_loading.autodiscover_modules", lambda *_: None)
    return made


def test_discovery_finds_functions_at_module_level_once(
    modules: dict[str, types.ModuleType],
) -> None:
    fn = make("fn")
    modules["app_one"].fn = fn  # type: ignore[attr-defined]
    modules["app_one"].alias = fn  # type: ignore[attr-defined]
    modules["app_two"].imported = fn  # type: ignore[attr-defined]

    registry.discover()

    assert registry.all() == {"app-fn": fn}
    assert registry.duplicates() == []


def test_discovery_reports_duplicates_unless_an_explicit_list_decides(
    modules: dict[str, types.ModuleType],
) -> None:
    first, second = make("fn"), make("fn", by=other_handler)
    modules["app_one"].fn = first  # type: ignore[attr-defined]
    modules["app_two"].fn = second  # type: ignore[attr-defined]
    registry.discover()

    assert [d.id for d in registry.duplicates()] == ["app-fn"]

    registry.register(second)

    assert registry.duplicates() == []
    assert registry.get("app-fn") is second


def test_discovery_again_forgets_what_left_and_takes_reloaded_functions(
    modules: dict[str, types.ModuleType],
) -> None:
    modules["app_one"].fn = make("fn")  # type: ignore[attr-defined]
    modules["app_one"].gone = make("gone")  # type: ignore[attr-defined]
    registry.discover()
    version = registry.version()
    registry.discover()
    assert registry.version() == version
    again = make("fn")
    modules["app_one"].fn = again  # type: ignore[attr-defined]
    del modules["app_one"].gone  # type: ignore[attr-defined]

    registry.discover()

    assert registry.all() == {"app-fn": again}
    assert registry.version() > version
    assert registry.duplicates() == []


# Triggers --------------------------------------------------------------------------------


def started(name: str, **data: Any) -> list[str]:
    event = {"name": name, "data": data, "id": "1", "ts": 1}
    return sorted(fn.local_id for fn in registry.functions_started_by(event))


def test_functions_start_by_name_and_wildcard() -> None:
    for fn_id, event in [
        ("exact", "a/b.c"),
        ("slash", "a/*"),
        ("dot", "a/b.*"),
        ("middle", "a/*/c"),
        ("no-separator", "a/b*"),
        ("star", "*"),
    ]:
        registry.register(make(fn_id, event))

    assert started("a/b.c") == ["dot", "exact", "slash"]
    assert started("a/x") == ["slash"]
    assert started("z") == []


def test_filter_decides_and_its_error_is_no_match() -> None:
    registry.register(make("yes", expression="event.data.n == 1"))
    registry.register(make("no", expression="event.data.n == 2"))
    registry.register(make("text", expression="event.data.n"))

    assert started("a", n=1) == ["yes"]
    assert started("a") == []


def test_function_with_several_matching_triggers_starts_once() -> None:
    registry.register(
        function(
            handler,
            trigger=[
                TriggerEvent(event="a/b"),
                TriggerEvent(event="a/*"),
                TriggerEvent(event="a/b", expression="true"),
            ],
        )
    )

    assert started("a/b") == ["fn"]
    assert len(registry.triggers_for("a/b")) == 3


def test_lookup_follows_the_registered_set() -> None:
    assert started("a") == []
    fn = make("fn")
    registry.register(fn)
    assert started("a") == ["fn"]

    registry.unregister(fn)

    assert started("a") == []


def test_many_filters_find_the_same_as_few() -> None:
    for n in range(120):
        registry.register(make(f"f{n}", expression=f"event.data.n == {n}", by=lambda ctx, n=n: n))

    assert started("a", n=77) == ["f77"]
