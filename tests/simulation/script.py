"""What the world outside wants of a schedule: runs, events and cancels."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

from tests.simulation import programs
from tests.simulation.audit import Audit
from tests.simulation.database import Database
from tests.simulation.programs import Author
from tests.simulation.stage import STOP

THEMES = ("mixed", "joins", "races", "time-outs", "events", "stalls")
SHARES = (40, 12, 12, 12, 12, 12)


def theme_of(seed: int) -> str:
    """Return what a seed's schedule is about: the first thing that is drawn."""
    return random.Random(seed).choices(THEMES, SHARES)[0]


@dataclasses.dataclass
class Sending:
    """An event that somebody outside wants accepted."""

    name: str
    data: dict[str, Any]
    external_id: str = ""
    is_rolled_back: bool = False
    may_go: Callable[[], bool] = lambda: True


@dataclasses.dataclass
class Root:
    """A run that a sender asked for."""

    key: str
    tree: int
    function: str
    fate: str = "ends"  # or "stopped", "perhaps cancelled"


class Script:
    """Drawn from a seed before the schedule begins."""

    def __init__(self, rng: random.Random, database: Database, audit: Audit) -> None:
        self.rng = rng
        self._database = database
        self._audit = audit
        self.theme = rng.choices(THEMES, SHARES)[0]
        self.author = Author(rng)
        self.roots: list[Root] = []
        self.sendings: list[Sending] = []
        is_small = self.theme != "mixed"
        for index in range(1 if is_small else rng.choices([1, 2, 3], [45, 45, 10])[0]):
            fate = rng.choices(["ends", "stopped", "perhaps cancelled"], [80, 10, 10])[0]
            if fate == "stopped":
                tree = self.author.sleepy_root()
            elif is_small:
                tree = self.author.small_root(self.theme)
            else:
                tree = self.author.root()
            function = rng.choice(["plain", "plain", "quick", "quick"])
            if fate == "stopped":
                function = "stoppable"
            root = Root(f"k{index}", tree, function, fate)
            self.roots.append(root)
            self._send_root(root)
        if not is_small and rng.random() < 0.2:
            data = {"tree": self.author.root(), "key": "nobody"}
            self.sendings.append(Sending("sim/plain", data, "nobody", is_rolled_back=True))
        rng.shuffle(self.sendings)
        self.cancels = [root for root in self.roots if root.fate == "perhaps cancelled"]

    def _send_root(self, root: Root) -> None:
        data = {"tree": root.tree, "key": root.key}
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            self.sendings.append(Sending(f"sim/{root.function}", data, f"root-{root.key}"))
        if root.fate == "stopped":
            self.sendings.append(
                Sending(STOP, {"key": root.key}, may_go=lambda: self._was_accepted(root))
            )
        self._script_signals(root, root.tree, root.key)

    def _script_signals(self, root: Root, tree: int, key: str) -> None:
        for node in programs.nodes(self.author.trees[tree]):
            if isinstance(node, programs.Invoke):
                self._script_signals(root, node.index, f"{key}/{node.name}")
            if not isinstance(node, programs.Wait) or node.signal == "never":
                continue
            if node.signal == "seen":
                may_go = lambda name=node.name: self._is_waiting(name)  # noqa: E731
            else:
                may_go = lambda: self._was_accepted(root)  # noqa: E731
            data = {"key": key, "n": node.name}
            self.sendings.append(Sending(programs.SIGNAL, data, may_go=may_go))
            if self.rng.random() < 0.3:
                data = {"key": key, "n": "another"}
                self.sendings.append(Sending(programs.SIGNAL, data, may_go=may_go))

    def _was_accepted(self, root: Root) -> bool:
        wanted = f"root-{root.key}"
        return any(external == wanted for _, external in self._audit.accepted.values())

    def _is_waiting(self, name: str) -> bool:
        return bool(self._database.rows("SELECT 1 FROM inngest_step WHERE name = ?", name))


def short(sql: str) -> str:
    """Return a statement, or where else a worker stands, for a line of the trace."""
    return " ".join(sql.split())[:90]
