"""A walk through a function's source in the order in which it would run.

It follows what surely belongs to the function: step bodies, branches of parallel groups,
functions defined inside it and called there, and functions of the same file that are given
the context or its tools. Of everything else it sees only the call.
"""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from inngest_django.source import names as meanings
from inngest_django.source import step_names
from inngest_django.source.seen import At, Local, Method, Mode, StepCall, Tool, Walked
from inngest_django.source.statements import Statements
from inngest_django.source.step_names import StepName
from inngest_django.source.texts import FunctionNode, Text, plain_function

STEP_METHODS = frozenset(
    {"run", "transaction", "sleep", "sleep_until", "wait_for_event", "invoke", "invoke_by_id"}
    | {"send_event"}
)
_BODY_METHODS = frozenset({"run", "transaction"})
_SENDS = frozenset({"send", "send_sync"})
_LOG_METHODS = frozenset(
    {"critical", "debug", "error", "exception", "info", "log", "print", "warning"}
)
_MAX_DEPTH = 8
# Helpers that call each other many times would be walked through for ever.
_MAX_ENTERED = 500


def walk(text: Text) -> Walked:
    """Return what a handler does."""
    walker = _Walker(text)
    parameters = [*text.node.args.posonlyargs, *text.node.args.args]
    names: dict[str, Any] = {p.arg: Local() for p in parameters}
    if text.given < len(parameters):
        names[parameters[text.given].arg] = Tool.CONTEXT
    walker.enter(text.node, At(names))
    return walker.walked


class _Walker(Statements):
    def __init__(self, text: Text) -> None:
        super().__init__(text)
        self._entered: list[FunctionNode] = []
        self._seen: set[FunctionNode] = set()
        self._count = 0

    # Functions -------------------------------------------------------------------------

    def enter(self, node: FunctionNode, at: At) -> None:
        """Walk through a function's body; one that calls itself is not followed again."""
        if node in self._entered or len(self._entered) >= _MAX_DEPTH:
            return
        self._count += 1
        if self._count > _MAX_ENTERED:
            return
        self._entered.append(node)
        self._seen.add(node)
        if isinstance(node, ast.Lambda):
            self._expression(node.body, at)
        else:
            self._block(node.body, at)
            self._look_at_the_uncalled(at)
        self._entered.pop()

    def _look_at_the_uncalled(self, at: At) -> None:
        """Learn the steps of functions that are defined here and called in unknown ways."""
        for local in list(at.names.values()):
            if isinstance(local, Local) and local.node is not None and local.node not in self._seen:
                names = {**at.names, **_shadows(local.node)}
                self.enter(
                    local.node, dataclasses.replace(at, names=names, mode=_deferred(at.mode))
                )

    def _follow(
        self, node: FunctionNode, call: ast.Call, at: At, around: Mapping[str, Any]
    ) -> None:
        """Walk through a function that is called here, with the tools that it is given."""
        names = {**around, **_shadows(node), **self._given(node, call, at)}
        self.enter(node, dataclasses.replace(at, names=names))

    def _given(self, node: FunctionNode, call: ast.Call, at: At) -> dict[str, Any]:
        """Return the parameters of a function that a call gives something known to."""
        parameters = [*node.args.posonlyargs, *node.args.args]
        pairs = [(p.arg, value) for p, value in zip(parameters, call.args, strict=False)]
        pairs += [(keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg]
        known = [(name, self._meaning(value, at)) for name, value in pairs]
        return {name: meaning for name, meaning in known if meaning is not None}

    # Expressions -----------------------------------------------------------------------

    def _expression(self, node: ast.AST, at: At) -> None:
        if isinstance(node, ast.Call):
            self._call(node, at)
        elif isinstance(node, ast.Lambda):
            names = {**at.names, **_shadows(node)}
            self.enter(node, dataclasses.replace(at, names=names, mode=_deferred(at.mode)))
        elif isinstance(node, ast.IfExp):
            self._expression(node.test, at)
            self._expression(node.body, at.arm(node, 0))
            self._expression(node.orelse, at.arm(node, 1))
        elif isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            self._expression(node.elt, self._rounds(node, at))
        elif isinstance(node, ast.DictComp):
            inside = self._rounds(node, at)
            self._expression(node.key, inside)
            self._expression(node.value, inside)
        elif isinstance(node, ast.NamedExpr):
            self._expression(node.value, at)
            self._assign(node.target, node.value, at)
        else:
            for child in ast.iter_child_nodes(node):
                self._expression(child, at)

    def _rounds(
        self, node: ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp, at: At
    ) -> At:
        """Return where the elements of a comprehension are made."""
        inside = dataclasses.replace(at.loop(node), names=dict(at.names))
        for index, part in enumerate(node.generators):
            self._expression(part.iter, inside if index else at)
            self._assign(part.target, None, inside)
            for condition in part.ifs:
                self._expression(condition, inside)
        return inside

    def _call(self, node: ast.Call, at: At) -> None:
        if isinstance(self._meaning(node.func, at), Method):
            self._apply(node, at)
            return
        inner = self._partial(node, at)
        if inner is not None and isinstance(self._meaning(inner.func, at), Method):
            self._apply(inner, at)  # Wherever it is called, the step belongs to the function.
            return
        value = self._names.value(node.func, at.names)
        self._look_at_call(node, value, at)
        inside = dataclasses.replace(at, is_free=at.is_free or _is_logging(node.func))
        before = len(self.walked.steps)
        if isinstance(node.func, ast.Attribute):
            self._expression(node.func.value, inside)
        elif not isinstance(node.func, ast.Name | ast.Lambda):
            self._expression(node.func, inside)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            self._expression(argument, inside)
        if value is asyncio.gather and len(self.walked.steps) > before and _keeps_exceptions(node):
            self.walked.traps.append(self._place(node, at))
        self._apply(node, at)

    def _look_at_call(self, node: ast.Call, value: Any, at: At) -> None:
        """Note a send, or a changing value, between steps."""
        if at.mode is not Mode.REPLAYED:
            return
        has_arguments = bool(node.args or node.keywords)
        if not at.is_free and meanings.is_changing(value, has_arguments=has_arguments):
            self.walked.changing.append(self._place(node, at))
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in _SENDS
            and meanings.is_client(self._names.value(node.func.value, at.names))
        ):
            self.walked.sends.append(self._place(node, at))

    def _apply(self, call: ast.Call, at: At) -> None:
        """Walk through what a call does, its arguments apart."""
        meaning = self._meaning(call.func, at)
        if isinstance(meaning, Method):
            if meaning.tool is Tool.STEP:
                self._step(call, meaning.name, at)
            else:
                self._group(call, at)
        elif isinstance(meaning, Local) and meaning.node is not None:
            self._follow(meaning.node, call, at, meaning.around)
        else:
            value = self._names.value(call.func, at.names)
            step_id = meanings.decorated_step(value)
            if step_id is not None:
                self._note_step(call, StepName((step_id,)), "run", at)
                return
            node = self._node_in_file(value)
            if node is None:
                return
            if any(isinstance(m, Tool | Method) for m in self._given(node, call, at).values()):
                self._follow(node, call, at, {})

    def _apply_later(self, node: ast.expr, arguments: list[ast.expr], at: At) -> None:
        """Walk through what something callable does, when it is called in the mode of ``at``."""
        call = ast.copy_location(ast.Call(func=node, args=arguments, keywords=[]), node)
        inner = self._partial(node, at) if isinstance(node, ast.Call) else None
        if inner is not None:
            inner.args = [*inner.args, *arguments]
            if not isinstance(self._meaning(inner.func, at), Method):
                free = dataclasses.replace(at, is_free=True)
                for argument in inner.args:
                    self._expression(argument, free)
            self._apply(inner, at)
        elif isinstance(node, ast.Call):
            # Makes what is called later, and is evaluated on every entry.
            mode = Mode.REPLAYED if at.mode is Mode.BODY else at.mode
            self._expression(node, dataclasses.replace(at, mode=mode))
        else:
            self._apply(call, at)

    def _node_in_file(self, value: Any) -> FunctionNode | None:
        """Return the source of a function of the handler's own file."""
        function = plain_function(value)
        if function is None or function.__code__.co_filename != self._text.file.path:
            return None
        return self._text.file.node_of(function.__code__)

    # Steps -----------------------------------------------------------------------------

    def _step(self, node: ast.Call, method: str, at: At) -> None:
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        positional = list(node.args)
        id_node = positional.pop(0) if positional else given.pop("step_id", None)
        body = None
        if method in _BODY_METHODS:
            body = positional.pop(0) if positional else given.pop("handler", None)
        if id_node is not None:
            self._expression(id_node, at)
        # What is given to a step is used by that step only.
        free = dataclasses.replace(at, is_free=True)
        for argument in [*positional, *given.values()]:
            self._expression(argument, free)
        name = step_names.read(id_node, lambda part: self._names.value(part, at.names))
        self._note_step(node, name, method, at)
        if body is not None:
            self._apply_later(body, positional, dataclasses.replace(at, mode=Mode.BODY))

    def _note_step(self, node: ast.Call, name: StepName, method: str, at: At) -> None:
        if at.mode is Mode.BODY:
            self.walked.nested.append(self._place(node, at))
        else:
            self.walked.steps.append(StepCall(name, method, self._place(node, at)))

    def _group(self, node: ast.Call, at: At) -> None:
        if at.mode is Mode.BODY:
            self.walked.nested.append(self._place(node, at))
            return
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        callables = node.args[0] if node.args else given.get("callables")
        if callables is not None:
            self._branches(callables, dataclasses.replace(at, is_in_group=True))

    def _branches(self, node: ast.expr, at: At) -> None:
        """Walk through the callables of a parallel group."""
        if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
            self._branches(node.args[0], at)  # tuple(…), list(…)
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            for element in node.elts:
                if isinstance(element, ast.Starred):
                    self._branches(element.value, at)
                else:
                    self._apply_later(element, [], at)
        elif isinstance(node, ast.GeneratorExp | ast.ListComp):
            self._apply_later(node.elt, [], self._rounds(node, at))
        else:
            self._expression(node, at)

    # Meanings --------------------------------------------------------------------------

    def _meaning(self, node: ast.expr, at: At) -> Tool | Method | Local | None:
        """Return which tool, or function of the function's own, an expression stands for."""
        if isinstance(node, ast.Name):
            found: Tool | Method | Local | None = at.names.get(node.id)
            return found
        if isinstance(node, ast.Lambda):
            return Local(node, at.names)
        if isinstance(node, ast.Attribute):
            return _member(self._meaning(node.value, at), node.attr)
        if isinstance(node, ast.Call) and meanings.gives_tools(
            self._names.value(node.func, at.names)
        ):
            return Tool.STEP
        return None

    def _partial(self, node: ast.Call, at: At) -> ast.Call | None:
        """Return the call that ``functools.partial(f, …)`` prepares."""
        if not node.args or self._names.value(node.func, at.names) is not functools.partial:
            return None
        call = ast.Call(func=node.args[0], args=node.args[1:], keywords=node.keywords)
        return ast.copy_location(call, node)


def _member(owner: object, name: str) -> Tool | Method | None:
    if owner is Tool.CONTEXT:
        return {"step": Tool.STEP, "group": Tool.GROUP}.get(name)
    if owner is Tool.STEP and name in STEP_METHODS:
        return Method(Tool.STEP, name)
    if owner is Tool.GROUP and name == "parallel":
        return Method(Tool.GROUP, name)
    return None


def _shadows(node: FunctionNode) -> dict[str, Any]:
    """Return a function's parameters, which hide names around it."""
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    parameters += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    return {parameter.arg: Local() for parameter in parameters}


def _deferred(mode: Mode) -> Mode:
    return mode if mode is Mode.BODY else Mode.UNSURE


def _is_logging(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
    return name in _LOG_METHODS


def _keeps_exceptions(node: ast.Call) -> bool:
    return any(
        keyword.arg == "return_exceptions"
        and isinstance(keyword.value, ast.Constant)
        and bool(keyword.value.value)
        for keyword in node.keywords
    )
