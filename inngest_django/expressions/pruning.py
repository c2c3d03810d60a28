"""The part of an event that an expression reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inngest_django.expressions.nodes import Segment

# A branch lists the fields to keep; None keeps all there is.
Branch = dict[str, "Branch | None"]


def branch_of(paths: Iterable[tuple[Segment, ...]]) -> Branch | None:
    """Return what to keep for these paths.

    A list is kept whole from its first index on, because its elements are known by
    their position.
    """
    root: Branch = {}
    for path in paths:
        branch = root
        for position, segment in enumerate(path):
            following = path[position + 1 :]
            is_last = not following or not isinstance(following[0], str)
            if not isinstance(segment, str):
                return None
            if is_last:
                branch[segment] = None
                break
            inner = branch.setdefault(segment, {})
            if inner is None:
                break
            branch = inner
        else:
            return None
    return root


def pruned(event: Mapping[str, object], branch: Branch | None) -> dict[str, object]:
    """Return a copy of the event with only the fields of the branch.

    A field that is present stays present even when it is null, which ``has()`` can see.
    """
    if branch is None:
        return dict(event)
    kept: dict[str, object] = {}
    for name, inner in branch.items():
        if name not in event:
            continue
        value = event[name]
        if inner is None:
            kept[name] = value
        elif isinstance(value, Mapping):
            kept[name] = pruned(value, inner)
        # Fields of anything but a map are missing, with or without the value.
    return kept
