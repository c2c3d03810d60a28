"""Makes all made parts of the reference anew, and the diagrams."""

from __future__ import annotations

import os

import django


def main() -> None:
    """Write them into their pages."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    # Late: they read the settings.
    from tests.docs import diagram
    from tests.docs.made import contents, errors, renewed

    errors.match_pages()
    for one in contents.with_parts():
        one.path.write_text(renewed(one.text, contents.MADE), encoding="utf-8")
    diagram.PAGE.path.write_text(diagram.redrawn(diagram.PAGE.text), encoding="utf-8")


if __name__ == "__main__":
    main()
