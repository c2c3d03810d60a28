"""Does what the page "A tested function in ten minutes" says, command by command.

``python -m tests.packaging.ten_minutes`` does it in a fresh folder and says how long it took.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.docs.pages import Block, Page, page
from tests.packaging.project import pristine, run
from tests.repo.readme import ROOT

PAGE = page("tutorial/a-tested-function.md")
# What the page writes for the reader's clone.
_CLONE = "/path/to/inngest-django"


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What came of a page's commands.

    Attributes:
        folder: The last folder that the commands went to.
        seconds: How long they took.
        output: What they printed, each after its own line.
    """

    folder: Path
    seconds: float
    output: str


def build_wheel(folder: Path) -> Path:
    """Build this package's wheel, and nothing that it needs."""
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT])
    [wheel] = folder.glob("inngest_django-*.whl")
    return wheel


def follow(one: Page, folder: Path, wheel: Path) -> Told:
    """Do what a page says, in a shell of its own that begins in an empty folder.

    Raises:
        AssertionError: A command failed; says what was printed until then.
    """
    lines = ["set -e"]
    for block in one._blocks():
        lines += _commands(block, str(wheel)) if block.language == "console" else _file(block)
    begun = time.monotonic()
    result = _shell([*lines, 'printf "\\nfolder: %s\\n" "$PWD"'], folder)
    seconds = time.monotonic() - begun
    assert result.returncode == 0, result.stdout
    output, _, last = result.stdout.rpartition("\nfolder: ")
    return Told(Path(last.strip()), seconds, output)


def again(told: Told, command: str) -> subprocess.CompletedProcess[str]:
    """Run one more command where the page's ended, with its environment activated."""
    return _shell([f". {told.folder.parent}/venv/bin/activate", command], told.folder)


def _shell(lines: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    bin_folder = str(Path(sys.executable).parent)
    kept = pristine()
    return subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=folder,
        env={
            **kept,
            "PATH": f"{bin_folder}:{kept['PATH']}",
            "PIP_QUIET": "1",
            "PIP_NO_COMPILE": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )


def _commands(block: Block, wheel: str) -> list[str]:
    commands = [line.removeprefix("$ ") for line in block.code.splitlines()]
    return [
        line
        for command in commands
        for line in (f"echo {shlex.quote('$ ' + command)}", command.replace(_CLONE, wheel))
    ]


def _file(block: Block) -> list[str]:
    assert block.file, f"line {block.line}: nothing says what to do with this block"
    end = "end-of-block"
    assert not re.search(rf"^{end}$", block.code, re.MULTILINE)
    return [f"cat {'>>' if block.is_added else '>'} {block.file} <<'{end}'", block.code + end]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        begun = time.monotonic()
        wheel = build_wheel(Path(temporary))
        reader = Path(temporary) / "reader"
        reader.mkdir()
        told = follow(PAGE, reader, wheel)
        print(told.output)
        print(f"{told.seconds:.1f} s, and {time.monotonic() - begun - told.seconds:.1f} s before.")
