"""The page that is written: one table for each broker, and what it was measured on."""

from __future__ import annotations

import dataclasses
import math

from benchmarks import conditions
from benchmarks.rows import DURABLE, FAST, PLAIN, ROWS, Row, Values, median, ratios, shown
from benchmarks.rows import with_spread as spread

# What plain Celery must reach on a quiet machine of two cores for a comparison to count.
HEALTHY = {"redis": 130.0, "rabbitmq": 220.0}
TITLES = {"redis": "Redis", "rabbitmq": "RabbitMQ"}


@dataclasses.dataclass(kw_only=True, slots=True)
class Report:
    """Everything that one run of the command found."""

    command: str
    date: str
    commit: str
    machine: str
    packages: str
    database: dict[str, str]
    load_before: str
    load_after: str = ""
    has_ack_emulation: bool = True
    sizes: dict[str, str] = dataclasses.field(default_factory=dict)
    brokers: dict[str, str] = dataclasses.field(default_factory=dict)
    values: dict[str, dict[tuple[str, str, str], list[float]]] = dataclasses.field(
        default_factory=dict
    )
    memory: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    dead_rows: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    faults: list[str] = dataclasses.field(default_factory=list)

    def text(self) -> str:
        """Return what the page says of it, in Markdown."""
        return "\n".join([*self._head(), *self._tables(), *self._foot()]) + "\n"

    def _head(self) -> list[str]:
        settings = ", ".join(f"`{name}` {value}" for name, value in self.database.items())
        lists = "; what Redis lists differs, see below" if "redis" in self.brokers else ""
        return [
            "Written by `" + self.command + "`.",
            "[Where the time goes](../explanation/where-the-time-goes.md) explains the figures.",
            "",
            "| What | |",
            "| --- | --- |",
            f"| Date | {self.date} |",
            f"| Commit | {self.commit} |",
            f"| Machine | {self.machine} |",
            f"| Load averages | before {self.load_before}; after {self.load_after} |",
            f"| Versions | {self.packages} |",
            f"| PostgreSQL, both sides | {settings} |",
            *(f"| {TITLES[name]} | {text} |" for name, text in self.brokers.items()),
            "| Workers, both sides | prefork, `-c 2`, prefetch 4, acknowledged early,"
            f" the same transport options{lists} |",
            *(f"| {name} | {text} |" for name, text in self.sizes.items()),
            *conditions.sentences(
                self.database,
                self.dead_rows,
                brokers={name: TITLES[name] for name in self.brokers},
                has_ack_emulation=self.has_ack_emulation,
            ),
        ]

    def _tables(self) -> list[str]:
        lines: list[str] = []
        for broker, values in self.values.items():
            lines += ["", f"## {TITLES[broker]}", "", self._health(broker, values), ""]
            lines += [
                f"| Work | Unit | {PLAIN} | `{DURABLE}` | ratio | `{FAST}` | ratio | Goal | Met |",
                "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            ]
            lines += [line for row in ROWS if (line := _line(row, broker, values))]
            if self.memory.get(broker):
                sizes = ", ".join(
                    f"{name} {size / 2**20:.0f} MiB" for name, size in self.memory[broker].items()
                )
                lines += ["", f"Resident memory of a worker's three processes at the end: {sizes}."]
        return lines

    def _foot(self) -> list[str]:
        if not self.faults:
            return []
        return ["", "## What failed", "", *(f"- {fault}" for fault in self.faults)]

    @staticmethod
    def _health(broker: str, values: Values) -> str:
        found = median(values.get((PLAIN, "W2", "steps"), []))
        if math.isnan(found):
            return "W2 was not measured, so nothing says whether plain Celery is healthy here."
        verdict = "healthy" if found > HEALTHY[broker] else "**not healthy: compare nothing**"
        return (
            f"Plain Celery did {shown(found)} steps/s in W2 (at least {HEALTHY[broker]:.0f} on a"
            f" quiet machine of two cores): {verdict}."
        )


def _line(row: Row, broker: str, values: Values) -> str:
    base = values.get((PLAIN, *row.base), []) if row.base else []
    cells, verdicts = [], []
    for stack in (DURABLE, FAST):
        found = values.get((stack, *row.figure), [])
        if not found:
            cells += ["", ""]
            continue
        share = ratios(found, base) if row.has_ratio else []
        ratio = median(share) if share else None
        cells += [spread(found), "" if ratio is None else spread(share, " x")]
        verdicts.append(row.is_met(broker, value=median(found), ratio=ratio))
    if not any(cells):
        return ""
    known = [verdict for verdict in verdicts if verdict is not None]
    met = " / ".join("yes" if verdict else "**no**" for verdict in known)
    texts = [row.work, row.unit, spread(base) if base else "", *cells, row.goal_text(broker), met]
    return "| " + " | ".join(texts) + " |"
