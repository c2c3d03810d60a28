"""A pydantic object without ``output_type``, or without a serializer, cannot be stored."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

import inngest_django as inngest
from tests.functional.support import Live, client

typed = inngest.Inngest(
    app_id="functional-untyped", is_production=False, serializer=inngest.PydanticSerializer()
)


class Parcel(pydantic.BaseModel):
    weight: int


def _step(owner: inngest.Inngest, fn_id: str, **options: Any) -> inngest.Function:
    @owner.create_function(
        fn_id=fn_id, retries=0, trigger=inngest.TriggerEvent(event=f"functional/{fn_id}")
    )
    def handler(ctx: inngest.ContextSync) -> None:
        ctx.step.run("weigh", lambda: Parcel(weight=1), **options)

    return handler


def _output(owner: inngest.Inngest, fn_id: str, **options: Any) -> inngest.Function:
    @owner.create_function(
        fn_id=fn_id, retries=0, trigger=inngest.TriggerEvent(event=f"functional/{fn_id}"), **options
    )
    async def handler(ctx: inngest.Context) -> Parcel:
        return Parcel(weight=1)

    return handler


step_untyped = _step(typed, "step-untyped")
step_unserialized = _step(client, "step-unserialized", output_type=Parcel)
output_untyped = _output(typed, "output-untyped")
output_unserialized = _output(client, "output-unserialized", output_type=Parcel)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        pytest.param(step_untyped, '"weigh" returned unserializable data', id="step, no type"),
        pytest.param(
            step_unserialized, '"weigh" returned unserializable data', id="step, no serializer"
        ),
        pytest.param(output_untyped, "returned unserializable data", id="function, no type"),
        pytest.param(
            output_unserialized, "returned unserializable data", id="function, no serializer"
        ),
    ],
)
def test_the_run_fails(live: Live, function: inngest.Function, message: str) -> None:
    run = live.run(function)

    assert run.status == "failed"
    assert run.error["name"] == "OutputUnserializableError"
    assert run.error["message"] == message
