"""A trigger's expression decides whether its function starts, by the dialect's truth table."""

from __future__ import annotations

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client

NAME = "functional/trigger-filter"
DATA = {
    "n": 150,
    "half": 150.0,
    "text": "abc",
    "yes": True,
    "none": None,
    "empty": "",
    "list": [1, 2],
    "deep": {"er": {"x": 1}},
}
# Whether the function starts, for each expression; the rows of the dialect's table.
TABLE: dict[str, bool] = {
    "event.data.n == 150": True,
    "event.data.n == 151": False,
    "event.data.half == 150": True,
    "event.data.n > 149.5": True,
    'event.data.n == "150"': False,
    "event.data.yes == 1": False,
    "event.data.yes": True,
    "event.name == 'functional/trigger-filter'": True,
    # Missing is null, at any depth.
    "event.data.missing == null": True,
    "event.data.missing.deep.deeper == null": True,
    "event.data.none == null": True,
    'event.data.missing == "x"': False,
    'event.data.missing != "x"': True,
    "event.data.missing != null": False,
    "event.data.missing < 1": True,
    "event.data.missing > 1": False,
    "event.data.none > 1": False,
    "size(event.data.missing) == 0": True,
    'event.data.missing.contains("x")': False,
    "has(event.data.none)": True,
    "has(event.data.missing)": False,
    'event.data.text + event.data.missing == "abc"': True,
    # An error, or anything but true, does not start it.
    "event.data.text < 1": False,
    "event.data.n": False,
    "event.data.text": False,
    "event.data.text && true": False,
    "1 / 0 == 1": False,
    # Functions and one level of macros.
    'event.data.text.startsWith("ab") && uppercase(event.data.text) == "ABC"': True,
    "event.data.list.exists(x, x == 2)": True,
    "event.data.list.all(x, x > 1)": False,
    "event.data.n in [1, 150]": True,
}


def _filtered(number: int, expression: str) -> inngest.Function:
    @client.create_function(
        fn_id=f"trigger-filter-{number}",
        retries=0,
        trigger=inngest.TriggerEvent(event=NAME, expression=expression),
    )
    def handler(ctx: inngest.ContextSync) -> None:
        return None

    return handler


# Discovery looks at the names of a module.
FUNCTIONS = {expression: _filtered(n, expression) for n, expression in enumerate(TABLE)}
globals().update({f"filtered_{n}": function for n, function in enumerate(FUNCTIONS.values())})


def test_the_function_starts_exactly_when_the_filter_is_true(live: Live) -> None:
    event_id = live.send(NAME, DATA)
    live.wait_until(
        lambda: Event.objects.filter(pk=event_id, routed_at__isnull=False).exists(),
        what="routing of the event",
    )
    started = {run.function_id for run in live.runs(event_id)}

    assert {
        expression: function.id in started for expression, function in FUNCTIONS.items()
    } == TABLE
