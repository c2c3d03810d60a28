"""Typed results with a serializer: models, lists, optionals and plain values survive."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live
from tests.functional.variants import both

typed = inngest.Inngest(
    app_id="functional-typed", is_production=False, serializer=inngest.PydanticSerializer()
)


class Parcel(pydantic.BaseModel):
    weight: int


CASES: dict[str, tuple[Any, Any, Any]] = {
    # name: the type, the value, what is stored
    "model": (Parcel, Parcel(weight=1), {"weight": 1}),
    "list": (list[Parcel], [Parcel(weight=2)], [{"weight": 2}]),
    "some": (Parcel | None, Parcel(weight=3), {"weight": 3}),
    "none": (Parcel | None, None, None),
    "int": (int, 4, 4),
}


@typed.create_function(
    fn_id="typed-steps", retries=0, trigger=inngest.TriggerEvent(event="functional/typed-steps")
)
def typed_steps(ctx: inngest.ContextSync) -> None:
    for name, (type_, value, _) in CASES.items():
        seen = ctx.step.run(name, lambda v=value: v, output_type=type_)
        ledger.note(ctx.run_id, name, [seen == value, type(seen) is type(value)])


@typed.create_function(
    fn_id="typed-steps-async",
    retries=0,
    trigger=inngest.TriggerEvent(event="functional/typed-steps-async"),
)
async def typed_steps_async(ctx: inngest.Context) -> None:
    for name, (type_, value, _) in CASES.items():

        async def body(result: Any = value) -> Any:
            return result

        seen = await ctx.step.run(name, body, output_type=type_)
        ledger.note(ctx.run_id, name, [seen == value, type(seen) is type(value)])


@both(typed_steps, typed_steps_async)
def test_step_outputs(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    for name, (_, _, stored) in CASES.items():
        assert run.steps.get(name=name).output == stored
        seen = [note.value for note in ledger.notes(run.id, name)]
        assert seen, name
        assert all(value == [True, True] for value in seen), name


def _returning(name: str) -> inngest.Function:
    type_, value, _ = CASES[name]

    @typed.create_function(
        fn_id=f"typed-output-{name}",
        output_type=type_,
        retries=0,
        trigger=inngest.TriggerEvent(event=f"functional/typed-output-{name}"),
    )
    def handler(ctx: inngest.ContextSync) -> Any:
        return value

    return handler


def _returning_async(name: str) -> inngest.Function:
    type_, value, _ = CASES[name]

    @typed.create_function(
        fn_id=f"typed-output-{name}-async",
        output_type=type_,
        retries=0,
        trigger=inngest.TriggerEvent(event=f"functional/typed-output-{name}-async"),
    )
    async def handler(ctx: inngest.Context) -> Any:
        return value

    return handler


# Discovery looks at the names of a module.
OUTPUTS = {name: (_returning(name), _returning_async(name)) for name in CASES}
for _name, (_plain, _coroutine) in OUTPUTS.items():
    globals()[f"returning_{_name}"] = _plain
    globals()[f"returning_{_name}_async"] = _coroutine


@pytest.mark.parametrize("kind", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("name", CASES)
def test_function_outputs(live: Live, name: str, kind: int) -> None:
    run = live.run(OUTPUTS[name][kind])

    assert run.status == "completed", run.error
    assert run.output == CASES[name][2]


@typed.create_function(
    fn_id="typed-invoke", retries=0, trigger=inngest.TriggerEvent(event="functional/typed-invoke")
)
def typed_invoke(ctx: inngest.ContextSync) -> None:
    seen = ctx.step.invoke("typed", function=OUTPUTS["list"][0])
    plain = ctx.step.invoke_by_id("plain", function_id="typed-output-list")
    ledger.note(ctx.run_id, "seen", [seen == CASES["list"][1], plain])


def test_invoke_restores_the_type_and_invoke_by_id_does_not(live: Live) -> None:
    run = live.run(typed_invoke)

    assert run.status == "completed", run.error
    assert ledger.notes(run.id, "seen")[-1].value == [True, [{"weight": 2}]]
