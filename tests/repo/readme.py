"""Reads the README."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language, without indentation."""
    text = (ROOT / "README.md").read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [
        "\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found
    ]


def commands() -> list[str]:
    """Return the sh blocks of a single line, which a newcomer pastes."""
    return [block for block in blocks("sh") if len(block.splitlines()) == 1]
