"""Pages that hold what was measured between two comments, and the author's words around them."""

from __future__ import annotations

from pathlib import Path


def _comments(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def check(page: Path, name: str) -> None:
    """Complain of a page that could not be written; before anything is measured.

    Raises:
        ValueError: It exists, and has no place for this.
    """
    begin, end = _comments(name)
    if page.exists():
        text = page.read_text()
        if begin not in text or end not in text.partition(begin)[2]:
            raise ValueError(
                f"{page} has no {begin} and {end} to write between. Add both, or name a new file."
            )


def write(page: Path, text: str, *, name: str, title: str) -> None:
    """Replace what stands between the comments of a page; a new one is made with its title.

    Raises:
        ValueError: It exists, and has no place for this.
    """
    check(page, name)
    begin, end = _comments(name)
    page.parent.mkdir(parents=True, exist_ok=True)
    old = page.read_text() if page.exists() else f"# {title}\n\n{begin}\n{end}\n"
    before, _, rest = old.partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")
