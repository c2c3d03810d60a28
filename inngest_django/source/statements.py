"""The walk through statements: branches, loops, and what stops the unwinding of a step."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Sequence

from inngest_django.source import names as meanings
from inngest_django.source.paths import End, Exclusion, join
from inngest_django.source.seen import At, Local, Method, Mode, Place, StepCall, Tool, Walked
from inngest_django.source.texts import FunctionNode, Text

# What is ruled out behind statements, and how they end.
_Outcome = tuple[list[Exclusion], End | None]


class Statements:
    """The part of a walk that is about statements."""

    def __init__(self, text: Text) -> None:
        self.walked = Walked()
        self._text = text
        self._names = meanings.Names(text.function)
        self._order = 0

    def _expression(self, node: ast.AST, at: At) -> None:
        raise NotImplementedError

    def _meaning(self, node: ast.expr, at: At) -> Tool | Method | Local | None:
        raise NotImplementedError

    def _place(self, node: ast.AST, at: At) -> Place:
        self._order += 1
        return Place(
            node=node,
            order=self._order,
            arms=at.arms,
            loops=at.loops,
            is_in_group=at.is_in_group,
            is_sure=at.mode is not Mode.UNSURE,
        )

    def _block(self, statements: Sequence[ast.stmt], at: At) -> _Outcome:
        """Walk through statements; return the arms that are ruled out behind, and the end."""
        found: list[Exclusion] = []
        for statement in statements:
            exclusions, end = self._statement(statement, at)
            found += exclusions
            at = at.after(exclusions)
            if end is not None:
                return found, end
        return found, None

    def _statement(self, node: ast.stmt, at: At) -> _Outcome:
        if isinstance(node, ast.If):
            return self._if(node, at)
        if isinstance(node, ast.Match):
            return self._match(node, at)
        if isinstance(node, ast.Try | ast.TryStar):
            return self._try(node, at)
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            return self._loop(node, at), None
        if isinstance(node, ast.With | ast.AsyncWith):
            return self._with(node, at)
        self._plain(node, at)
        return [], End.of(node)

    def _plain(self, node: ast.stmt, at: At) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for expression in [*node.decorator_list, *node.args.defaults]:
                self._expression(expression, at)
            at.names[node.name] = Local(node, at.names)
        elif isinstance(node, ast.ClassDef):
            at.names[node.name] = Local()
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node, at)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            self._assignment(node, at)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._expression(child, at)

    def _assignment(self, node: ast.Assign | ast.AnnAssign, at: At) -> None:
        if node.value is not None and not isinstance(node.value, ast.Lambda):
            self._expression(node.value, at)
        for target in [node.target] if isinstance(node, ast.AnnAssign) else node.targets:
            if node.value is not None:
                self._assign(target, node.value, at)

    def _import(self, node: ast.Import | ast.ImportFrom, at: At) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                name = alias.asname or alias.name.partition(".")[0]
                value = meanings.imported(alias.name if alias.asname else name)
            else:
                name = alias.asname or alias.name
                value = meanings.UNKNOWN
                if not node.level:
                    value = meanings.imported(node.module, alias.name)
            at.names[name] = Local(imported=value)

    def _assign(self, target: ast.expr, value: ast.expr | None, at: At) -> None:
        if isinstance(target, ast.Name):
            meaning = None if value is None else self._meaning(value, at)
            at.names[target.id] = Local() if meaning is None else meaning
            return
        for child in ast.walk(target):
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                at.names[child.id] = Local()

    def _if(self, node: ast.If, at: At) -> _Outcome:
        self._expression(node.test, at)
        first, first_end = self._block(node.body, at.arm(node, 0))
        second, second_end = self._block(node.orelse, at.arm(node, 1))
        joined, end = join(node, {0: first_end, 1: second_end})
        return [*first, *second, *joined], end

    def _match(self, node: ast.Match, at: At) -> _Outcome:
        self._expression(node.subject, at)
        found: list[Exclusion] = []
        ends: dict[int, End | None] = {}
        for index, case in enumerate(node.cases):
            for pattern in ast.walk(case.pattern):
                name = getattr(pattern, "name", None) or getattr(pattern, "rest", None)
                if isinstance(name, str):
                    at.names[name] = Local()
            if case.guard is not None:
                self._expression(case.guard, at)
            exclusions, ends[index] = self._block(case.body, at.arm(node, index))
            found += exclusions
        last = node.cases[-1]
        if last.guard is not None or not (
            isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        ):
            ends[len(node.cases)] = None  # No case may match.
        joined, end = join(node, ends)
        return [*found, *joined], end

    def _try(self, node: ast.Try | ast.TryStar, at: At) -> _Outcome:
        before = len(self.walked.steps)
        found, body_end = self._block(node.body, at)
        has_steps = len(self.walked.steps) > before
        if node.handlers:
            # What the body raises may be caught here, and the code behind be come to.
            found = [exclusion for exclusion in found if exclusion.end is not End.RAISE]
        exclusions, else_end = self._block(node.orelse, at.arm(node, 0))
        found += exclusions
        ends: dict[int, End | None] = {0: body_end or else_end}
        for index, handler in enumerate(node.handlers, start=1):
            if has_steps and self._swallows(handler, at):
                self.walked.traps.append(self._place(handler, at))
            inside = at.arm(node, index)
            if handler.name is not None:
                inside.names[handler.name] = Local()
            exclusions, ends[index] = self._block(handler.body, inside)
            found += exclusions
        joined, end = join(node, ends)
        before = len(self.walked.steps)
        exclusions, final_end = self._block(node.finalbody, at)
        if has_steps:
            self._look_at_finally(node, at, steps=self.walked.steps[before:])
        return [*found, *joined, *exclusions], final_end or end

    def _look_at_finally(
        self, node: ast.Try | ast.TryStar, at: At, *, steps: Sequence[StepCall]
    ) -> None:
        """Note a step, or a return, in a ``finally`` through which a step unwinds."""
        if steps:
            self.walked.traps.append(self._place(steps[0].place.node, at))
        for statement in node.finalbody:
            for child in _own_nodes(statement):
                if isinstance(child, ast.Return):
                    self.walked.traps.append(self._place(child, at))

    def _swallows(self, handler: ast.ExceptHandler, at: At) -> bool:
        classes = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        catches_all = any(
            cls is None or meanings.is_base_exception(self._names.value(cls, at.names))
            for cls in classes
        )
        return catches_all and not any(
            isinstance(child, ast.Raise)
            and (
                child.exc is None
                or (isinstance(child.exc, ast.Name) and child.exc.id == handler.name)
            )
            for statement in handler.body
            for child in _own_nodes(statement)
        )

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, at: At) -> list[Exclusion]:
        inside = at.loop(node)
        if isinstance(node, ast.While):
            self._expression(node.test, inside)
        else:
            self._expression(node.iter, at)
            self._assign(node.target, None, at)
        found, _ = self._block(node.body, inside)
        found = [exclusion for exclusion in found if exclusion.end is not End.LOOP]
        exclusions, _ = self._block(node.orelse, at)
        return [*found, *exclusions]

    def _with(self, node: ast.With | ast.AsyncWith, at: At) -> _Outcome:
        traps = []
        for item in node.items:
            self._expression(item.context_expr, at)
            if item.optional_vars is not None:
                self._assign(item.optional_vars, None, at)
            if self._suppresses_all(item.context_expr, at):
                traps.append(self._place(item.context_expr, at))
        before = len(self.walked.steps)
        found, end = self._block(node.body, at)
        if len(self.walked.steps) > before:
            self.walked.traps += traps
        return found, end

    def _suppresses_all(self, node: ast.expr, at: At) -> bool:
        return (
            isinstance(node, ast.Call)
            and self._names.value(node.func, at.names) is contextlib.suppress
            and any(
                meanings.is_base_exception(self._names.value(argument, at.names))
                for argument in node.args
            )
        )


def _own_nodes(statement: ast.AST) -> Iterator[ast.AST]:
    """Iterate over a statement without the functions defined in it."""
    yield statement
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, FunctionNode):
            yield from _own_nodes(child)
