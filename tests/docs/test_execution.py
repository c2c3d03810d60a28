"""Pages can be executed twice in one process, in which other tests made Celery apps."""

from __future__ import annotations

from celery import Celery

from tests.docs.execution import execute


def test_tasks_of_a_page_leave_every_app() -> None:
    other = Celery("other-than-the-page's", set_as_current=False)
    other.finalize()

    first = execute("how-to/come-from-celery.md")
    second = execute("how-to/come-from-celery.md")

    assert first.names.keys() == second.names.keys()
    assert [name for name in other.tasks if name.endswith("come-from-celery.md.price")]
