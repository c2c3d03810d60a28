"""Functions made from a seed: trees of steps, and what each must come to.

A program is a tree. ``play`` is the handler that walks it with the real step tools;
``expected`` says what the walk returns when nothing goes wrong, which is also what it must
return when everything does.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from typing import Any

from inngest_django.errors import NonRetriableError, StepError
from inngest_django.events import Event
from inngest_django.steps.groups import ParallelMode

FAR = 2 * 24 * 3600.0  # Longer than anything else takes: a loser's sleep.
FOREVER = 99
SIGNAL = "sim/signal"
ECHO = "sim/echo"


class Won(Exception):  # noqa: N818 - it ends a race
    """The first branch of a race has come through."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Unlucky(Exception):  # noqa: N818 - a body's bad luck
    """What bodies raise."""


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Any of several results, where the order of things decides."""

    values: tuple[Any, ...]


@dataclasses.dataclass
class Node:
    name: str


@dataclasses.dataclass
class Body(Node):
    """``fails`` counts calls that raise before one returns."""

    fails: int = 0
    is_transaction: bool = False


@dataclasses.dataclass
class Send(Node):
    pass


@dataclasses.dataclass
class Sleep(Node):
    seconds: float


@dataclasses.dataclass
class Wait(Node):
    """Waits for a signal of its own.

    ``signal``: "any" (sent at any time after the trigger; found by looking back), "seen" (sent
    once the wait is stored), "first" (the run's first step, without looking back), "never",
    or "loose" (sent at any time, which may be too early or too late).
    """

    signal: str
    timeout: float


@dataclasses.dataclass
class Invoke(Node):
    child: Node
    timeout: float | None
    index: int = -1


@dataclasses.dataclass
class Seq(Node):
    children: list[Node]


@dataclasses.dataclass
class Par(Node):
    children: list[Node]
    is_race: bool = False


@dataclasses.dataclass
class Race(Node):
    """The first branch that ends decides; what follows depends on which that was."""

    children: list[Node]


@dataclasses.dataclass
class Fail(Node):
    """Code between steps that raises: for good, or ``fails`` times."""

    fails: int = FOREVER


def expected(node: Node) -> Any:
    """Return what playing a tree returns."""
    match node:
        case Body(fails=fails):
            return "failed" if fails >= FOREVER else node.name
        case Send() | Fail():
            return "ok"
        case Sleep():
            return None
        case Wait(signal="never"):
            return None
        case Wait(signal="loose"):
            return OneOf((node.name, None))
        case Wait():
            return node.name
        case Invoke(child=child, timeout=timeout):
            return expected(child) if timeout is None else "failed"
        case Seq(children=children) | Par(children=children):
            return [expected(child) for child in children]
        case Race(children=children):
            return OneOf(tuple(index for index, _ in enumerate(children)))
    raise AssertionError(node)


def is_as_expected(wanted: Any, found: Any) -> bool:
    """Compare a result with what is expected."""
    if isinstance(wanted, OneOf):
        return any(is_as_expected(value, found) for value in wanted.values)
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(wanted) == len(found)
            and all(map(is_as_expected, wanted, found))
        )
    return bool(wanted == found)


def nodes(node: Node) -> Iterator[Node]:
    """Yield every node of a tree, children of invoked functions not."""
    yield node
    for child in getattr(node, "children", ()):
        yield from nodes(child)


def longest(node: Node) -> float:
    """Return how many seconds a tree may rightly take, without faults and retries."""
    match node:
        case Sleep(seconds=seconds):
            return seconds
        case Wait(timeout=timeout):
            return timeout
        case Invoke(child=child, timeout=timeout):
            return longest(child) if timeout is None else timeout
        case Seq(children=children) | Par(children=children):
            return sum(map(longest, children))
        case Race(children=children):
            return min(map(longest, children))
        case Body(fails=fails):
            return 60.0 if fails else 0.0
    return 0.0


class Player:
    """Plays trees; what it needs of the simulation is its ledger."""

    def __init__(
        self,
        note: Callable[[str, str], int],
        effect: Callable[[str, str], None],
        tree_of: Callable[[int], Node],
    ) -> None:
        self._note = note
        self._effect = effect
        self._tree_of = tree_of

    def handle(self, ctx: Any, child: Any) -> Any:
        """Be the handler of every function."""
        return self._play(ctx, self._tree_of(ctx.event.data["tree"]), child)

    def _play(self, ctx: Any, node: Node, child: Any) -> Any:  # noqa: C901 - a case a kind
        match node:
            case Body():
                return self._body(ctx, node)
            case Send():
                event = Event(name=ECHO, data={}, id=f"{ctx.run_id}:{node.name}")
                ctx.step.send_event(node.name, event)
                return "ok"
            case Sleep(seconds=seconds):
                return ctx.step.sleep(node.name, int(seconds * 1000))
            case Wait():
                return self._wait(ctx, node)
            case Invoke():
                return self._invoke(ctx, node, child)
            case Seq(children=children):
                return [self._play(ctx, one, child) for one in children]
            case Par(children=children, is_race=is_race):
                mode = ParallelMode.RACE if is_race else ParallelMode.WAIT
                branches = [lambda one=one: self._play(ctx, one, child) for one in children]
                return list(ctx.group.parallel(tuple(branches), parallel_mode=mode))
            case Race():
                return self._race(ctx, node, child)
            case Fail(fails=fails):
                if fails >= FOREVER:
                    raise NonRetriableError("for good")
                if self._note(ctx.run_id, f"{node.name} in between") <= fails:
                    raise Unlucky(node.name)
                return "ok"
        raise AssertionError(node)

    def _body(self, ctx: Any, node: Body) -> Any:
        def work() -> str:
            count = self._note(ctx.run_id, node.name)
            if node.is_transaction:
                self._effect(ctx.run_id, node.name)
            if count <= node.fails:
                raise Unlucky(node.name)
            return node.name

        tool = ctx.step.transaction if node.is_transaction else ctx.step.run
        try:
            return tool(node.name, work)
        except StepError:
            return "failed"

    def _wait(self, ctx: Any, node: Wait) -> Any:
        event = ctx.step.wait_for_event(
            node.name,
            event=SIGNAL,
            if_exp=f"event.data.key == async.data.key && async.data.n == '{node.name}'",
            timeout=int(node.timeout * 1000),
            lookback="run" if node.signal == "any" else None,
        )
        return event.data["n"] if event else None

    def _invoke(self, ctx: Any, node: Invoke, child: Any) -> Any:
        data = {"tree": node.index, "key": f"{ctx.event.data['key']}/{node.name}"}
        timeout = None if node.timeout is None else int(node.timeout * 1000)
        try:
            return ctx.step.invoke(node.name, function=child, data=data, timeout=timeout)
        except StepError:
            return "failed"

    def _race(self, ctx: Any, node: Race, child: Any) -> Any:
        def branch(index: int, one: Node) -> None:
            self._play(ctx, one, child)
            raise Won(index)

        branches = [lambda i=i, one=one: branch(i, one) for i, one in enumerate(node.children)]
        try:
            ctx.group.parallel(tuple(branches), parallel_mode=ParallelMode.RACE)
        except Won as won:
            # What comes after depends on who won: every entry must say the same.
            for suffix in "xy":
                name = f"{node.name}.{suffix}{won.index}"
                ctx.step.run(name, lambda name=name: self._note(ctx.run_id, name))
            return won.index
        return "nobody"


class Author:
    """Makes trees from a seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._count = 0
        # Each seed has a taste of its own.
        self._leaves = {
            kind: weight * rng.choice([0.2, 1, 1, 3])
            for kind, weight in {
                "body": 40,
                "transaction": 14,
                "sleep": 10,
                "wait": 16,
                "invoke": 9,
                "send": 5,
                "flaky": 6,
            }.items()
        }
        self.trees: list[Node] = []

    def root(self) -> int:
        """Make a tree and return its number; trees of invoked functions get numbers too."""
        rng = self._rng
        kind = rng.choices(
            ["plain", "group", "wait first", "raced", "failing"], [30, 30, 12, 22, 6]
        )[0]
        if kind == "wait first":
            tree: Node = Seq("root", [self._wait("first"), self._leaf()])
        elif kind == "raced":
            tree = self._raced()
        elif kind == "failing":
            tree = Seq("root", [self._leaf(), Fail(self._name("f"))])
        elif kind == "group":
            tree = Seq("root", [self._group(2), self._leaf()])
        else:
            tree = Seq("root", [self._leaf() for _ in range(rng.randint(2, 4))])
        return self.add(tree)

    def small_root(self, theme: str) -> int:
        """Make a tree of a few steps, all about one thing."""
        rng = self._rng
        if theme == "joins":
            bodies: list[Node] = [self._body() for _ in range(rng.randint(2, 3))]
            group = Par(self._name("p"), bodies, is_race=rng.random() < 0.4)
            return self.add(Seq("root", [group]))
        if theme == "races":
            return self.add(self._raced())
        if theme == "time-outs":
            timeout = rng.choice([6.0, 12.0, 15.0])
            return self.add(Seq("root", [Wait(self._name("w"), "loose", timeout)]))
        if theme == "events":
            wait = Wait(self._name("w"), rng.choice(["first", "loose"]), 400.0)
            return self.add(Seq("root", [wait]))
        steps: list[Node] = [
            Body(self._name("b")),
            Body(self._name("t"), is_transaction=True),
            Body(self._name("b")),
        ]
        return self.add(Seq("root", rng.sample(steps, 2)))

    def sleepy_root(self) -> int:
        """Make a tree that is still busy when everything else has been sent."""
        return self.add(Seq("root", [self._leaf(), Sleep(self._name("s"), FAR)]))

    def add(self, tree: Node) -> int:
        self.trees.append(tree)
        for node in list(nodes(tree)):
            if isinstance(node, Invoke):
                node.index = self.add(node.child)
        return self.trees.index(tree)

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _leaf(self, *, is_child: bool = False) -> Node:
        rng = self._rng
        weights = {**self._leaves, **({"invoke": 0} if is_child else {})}
        kind = rng.choices(list(weights), list(weights.values()))[0]
        if kind == "body":
            fails = rng.choices([0, 1, FOREVER], [80, 17, 3])[0]
            return Body(self._name("b"), fails)
        if kind == "transaction":
            return Body(self._name("t"), rng.choices([0, 1], [70, 30])[0], is_transaction=True)
        if kind == "sleep":
            return Sleep(self._name("s"), rng.choice([0.3, 2.0, 8.0, 300.0]))
        if kind == "wait":
            signals = ["seen", "never", "loose", "loose"]
            return self._wait(rng.choice(signals if is_child else [*signals, "any"]))
        if kind == "invoke":
            return self._invoke()
        if kind == "send":
            return Send(self._name("e"))
        return Fail(self._name("f"), 1)

    def _wait(self, signal: str) -> Wait:
        timeout = self._rng.choice([6.0, 12.0, 25.0, 400.0]) if signal == "loose" else 400.0
        return Wait(self._name("w"), signal, timeout)

    def _invoke(self) -> Node:
        if self._rng.random() < 0.2:
            return Invoke(self._name("i"), Sleep(self._name("s"), FAR), 200.0)
        count = self._rng.randint(1, 2)
        child = Seq("child", [self._leaf(is_child=True) for _ in range(count)])
        return Invoke(self._name("i"), child, None)

    def _branch(self, depth: int) -> Node:
        rng = self._rng
        if depth > 1 and rng.random() < 0.25:
            return self._group(depth - 1)
        if rng.random() < 0.4:
            return Seq(self._name("q"), [self._plain(), self._plain()])
        return self._plain()

    def _plain(self) -> Node:
        """Return a leaf that may stand in a group: no code between steps fails there."""
        leaf = self._leaf()
        return Body(leaf.name) if isinstance(leaf, Fail) else leaf

    def _group(self, depth: int) -> Node:
        count = self._rng.randint(2, 3)
        branches = [self._branch(depth) for _ in range(count)]
        return Par(self._name("p"), branches, is_race=self._rng.random() < 0.4)

    def _raced(self) -> Node:
        """Return a race, perhaps inside a group, perhaps with a loser that takes for ever."""
        rng = self._rng
        first: Node = Body(self._name("b"), rng.choice([0, 0, 1]))
        second: Node
        if rng.random() < 0.5:
            second = Sleep(self._name("s"), FAR)
        else:
            second = Seq(self._name("q"), [Body(self._name("b")), Body(self._name("b"))])
        race = Race(self._name("r"), [first, second])
        if rng.random() < 0.4:
            side = Par(self._name("p"), [Seq(self._name("q"), [race, self._body()]), self._body()])
            return Seq("root", [side, self._body()])
        return Seq("root", [race, self._body()])

    def _body(self) -> Node:
        return Body(self._name("b"))
