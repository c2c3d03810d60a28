"""Reads the documentation: its pages, blocks, headings and links."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from tests.repo.readme import ROOT

DOCS = ROOT / "docs"
_FENCE = re.compile(r"^( *)(`{3,})(\S*)[^\n]*\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
_SKIP = re.compile(r"<!-- skip: (.+?) -->\s*\Z")
# The line before a block that tells what to do with it: "Create `shop/functions.py`:".
_FILE = re.compile(r"^.*`([\w/]+\.\w+)`[^`\n]*:\n\n\Z", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        line: Where its code begins in the page, counted from 1.
        skipped: Why it is not run, or nothing.
        file: The file that it is to be put into, or nothing.
        is_added: Whether it goes to the end of that file.
    """

    language: str
    code: str
    line: int
    skipped: str
    file: str = ""
    is_added: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """One file of the documentation."""

    path: Path

    @property
    def name(self) -> str:
        """Its path inside docs, such as ``how-to/send-events.md``."""
        return self.path.relative_to(DOCS).as_posix()

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """It without its blocks; lines keep their numbers."""
        return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), self.text)

    def blocks(self, language: str) -> list[Block]:
        """Return the fenced blocks of a language, without indentation."""
        return [block for block in self._blocks() if block.language == language]

    def _blocks(self) -> Iterator[Block]:
        text = self.text
        for match in _FENCE.finditer(text):
            before = text[: match.start()]
            skip = _SKIP.search(before)
            file = _FILE.search(before)
            lines = (line.removeprefix(match[1]) for line in match[4].splitlines())
            yield Block(
                language=match[3],
                code="\n".join(lines) + "\n",
                line=text.count("\n", 0, match.start(4)) + 1,
                skipped=skip[1] if skip else "",
                file=file[1] if file else "",
                is_added=file is not None and "to the end of" in file[0],
            )

    def links(self) -> list[str]:
        """Return the targets of its links, in order."""
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """Return the anchors of its headings, as GitHub makes them."""
        found: set[str] = set()
        for _, heading in _HEADING.findall(self.prose):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            unique, count = slug, 0
            while unique in found:
                count += 1
                unique = f"{slug}-{count}"
            found.add(unique)
        return found

    def section(self, heading: str) -> str:
        """Return what stands under a heading, up to the next one of its level or above.

        Raises:
            AssertionError: The page has no such heading.
        """
        text = self.text
        for match in _HEADING.finditer(self.prose):
            if match[2] == heading:
                level = len(match[1])
                lines = text.splitlines()
                first = self.prose.count("\n", 0, match.start()) + 1
                end = next(
                    (
                        number
                        for number, line in enumerate(self.prose.splitlines()[first:], first)
                        if re.match(rf"#{{1,{level}}} ", line)
                    ),
                    len(lines),
                )
                return "\n".join(lines[first:end])
        raise AssertionError(f"{self.name} has no heading {heading!r}")

    def rows(self) -> list[list[str]]:
        """Return the cells of its tables' rows, titles and rules left out."""
        lines = self.prose.splitlines()
        return [
            [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for number, line in enumerate(lines)
            if line.startswith("|")
            and not re.fullmatch(r"[|:\- ]+", line)
            and not (number + 1 < len(lines) and re.fullmatch(r"\|[|:\- ]+", lines[number + 1]))
        ]


def pages() -> list[Page]:
    """Return every page, by name."""
    return [Page(path) for path in sorted(DOCS.rglob("*.md"))]


def page(name: str) -> Page:
    """Return the page of that name."""
    return Page(DOCS / name)
