from __future__ import annotations

from typing import Any

import pydantic
import pytest

from inngest_django.functions.function import Function
from inngest_django.functions.serializer import PydanticSerializer, Serializer
from tests.unit.drivers.harness import run
from tests.unit.drivers.support import both, function, make_client


class Parcel(pydantic.BaseModel):
    weight_g: int


typed = make_client(serializer=PydanticSerializer())

VALUES = [
    (Parcel, Parcel(weight_g=1)),
    (list[Parcel], [Parcel(weight_g=1), Parcel(weight_g=2)]),
    (Parcel | None, None),
    (Parcel | None, Parcel(weight_g=3)),
    (int, 5),
]


def test_it_is_a_serializer() -> None:
    assert isinstance(PydanticSerializer(), Serializer)


@pytest.mark.parametrize(("output_type", "value"), VALUES)
def test_typed_values_survive_steps_and_invokes(output_type: Any, value: Any) -> None:
    seen: list[Any] = []

    async def handler(ctx: Any) -> Any:
        seen.append(await ctx.step.run("s", lambda: value, output_type=output_type))
        return seen[-1]

    for fn in both(handler, by=typed, output_type=output_type):
        engine = run(fn)

        assert seen[-1] == value
        assert type(seen[-1]) is type(value)
        parent = function(lambda ctx, fn=fn: seen.append(ctx.step.invoke("i", function=fn)))
        run(parent, answers={"i": engine.output})
        assert seen[-1] == value


async def untyped(ctx: Any) -> Any:
    await ctx.step.run("s", lambda: Parcel(weight_g=1))


async def untyped_output(ctx: Any) -> Any:
    return Parcel(weight_g=1)


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        *((fn, '"s" returned unserializable data') for fn in both(untyped, by=typed)),
        *((fn, "returned unserializable data") for fn in both(untyped_output, by=typed)),
        *(
            (fn, "returned unserializable data")
            for fn in both(untyped_output, output_type=Parcel)  # a client without a serializer
        ),
    ],
)
def test_model_without_type_or_serializer_is_unserialisable(fn: Function, message: str) -> None:
    assert run(fn).error["message"] == message


def test_value_that_the_serializer_refuses_is_unserialisable() -> None:
    class Refusing:
        def serialize(self, obj: object, typ: Any) -> object:
            raise ValueError

        def deserialize(self, obj: object, typ: Any) -> object:
            return obj

    client = make_client(serializer=Refusing())

    step = function(lambda ctx: ctx.step.run("s", lambda: 1, output_type=int), by=client, retries=3)
    whole = function(lambda ctx: 1, by=client, output_type=int, retries=3)

    assert run(step).error["message"] == '"s" returned unserializable data'
    assert run(whole).error["message"] == "returned unserializable data"
    assert len(run(whole).entries) == 1


def test_failure_handler_output_is_serialised_as_an_object() -> None:
    def on_failure(ctx: Any) -> Any:
        return Parcel(weight_g=1)

    failure = function(lambda ctx: 1, by=typed, on_failure=on_failure).failure_function

    assert failure is not None
    assert run(failure).output == {"weight_g": 1}
