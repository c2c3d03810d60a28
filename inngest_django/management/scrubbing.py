"""Replaces what looks personal or secret in exported values; type and shape stay.

Equal values become equal replacements throughout one export, also inside longer texts, so
that code which compares them, or builds a step's id of them, takes the same path. The key of
the replacements is thrown away, so that nobody can try out what they stand for.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Iterable, Iterator
from typing import Any

# In a name of a field, without its case and punctuation.
_TELLING_PARTS = (
    "password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey",
    "authorization", "cookie", "sessionid", "credential", "cvc", "cvv", "iban", "cardnumber",
    "creditcard", "email", "phone", "mobile", "birth",
)  # fmt: skip
_TELLING_NAMES = frozenset(
    ("auth", "pwd", "pin", "otp", "ssn", "session", "signature", "firstname", "lastname",
     "fullname", "surname", "address", "street", "ipaddress")
)  # fmt: skip
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_LOOKS = (
    ("password in an address", re.compile(r"(?<=://)[^\s/@]+:[^\s/@]+(?=@)")),
    ("token", re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")),
    ("token", re.compile(r"(?<=[Bb]earer )[^\s\"',;]+")),
    ("token", re.compile(r"\b(?:sk|pk|rk|whsec|ghp|gho|xox[abp]|glpat|AKIA)[_-]?[A-Za-z0-9_-]{12,}")),
    ("e-mail address", _EMAIL),
    ("phone number", re.compile(r"\+\d[\d ()/-]{6,}\d")),
    ("card number", re.compile(r"\b\d(?:[ -]?\d){12,18}\b")),
    ("token", re.compile(r"\b[0-9a-f]{32,}\b")),
    ("token", re.compile(r"(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{24,}(?![\w-])")),
)  # fmt: skip
_WHYS = {f"look{number}": why for number, (why, _) in enumerate(_LOOKS)}
_LOOK_FOR = "|".join(f"(?P<look{n}>{look.pattern})" for n, (_, look) in enumerate(_LOOKS))
# A shorter one could be part of any word.
_LEAST_KNOWN = 6


class Scrubber:
    """Scrubs the values of one export.

    Attributes:
        found: Why, by field.
        kept: The names given as ``keep`` that a field had.
    """

    def __init__(self, keep: Iterable[str] = ()) -> None:
        self.found: dict[str, str] = {}
        self.kept: set[str] = set()
        self._keep = tuple(keep)
        self._key = secrets.token_bytes(32)
        self._known: set[str] = set()
        self._pattern = re.compile(_LOOK_FOR)
        self._spared: set[str] = set()

    def learn(self, values: Iterable[tuple[str, Any]]) -> None:
        """Look at all values, given by field, so that each secret is known in every text."""
        for field, value in values:
            for where, name, leaf in _leaves(value, field):
                if self._is_kept(where):
                    self._spared.add(str(leaf))
                    if isinstance(leaf, str):
                        self._spared.update(_EMAIL.findall(leaf))
                elif isinstance(leaf, str) and _is_telling(name) and len(leaf) >= _LEAST_KNOWN:
                    self._known.add(leaf)
        # The longest first, or a part of it would be found in its place.
        known = map(re.escape, sorted(self._known, key=len, reverse=True))
        self._pattern = re.compile("|".join((*known, _LOOK_FOR)))

    def scrub(self, value: Any, field: str) -> Any:
        """Return a value with its secrets replaced."""
        return self._scrub(value, field, is_telling=False)

    def _scrub(self, value: Any, field: str, *, is_telling: bool) -> Any:
        if isinstance(value, dict):
            return {
                self._text(key, field): self._scrub(
                    item, f"{field}.{key}", is_telling=is_telling or _is_telling(key)
                )
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._scrub(item, field, is_telling=is_telling) for item in value]
        if value is None or isinstance(value, bool) or self._is_kept(field):
            return value
        if not is_telling:
            return self._text(value, field) if isinstance(value, str) else value
        if str(value) in self._spared or value in ("", 0):
            return value
        self.found[self._text(field, None)] = "name of the field"
        return self._whole(value) if isinstance(value, str) else self._number(value)

    def _is_kept(self, field: str) -> bool:
        names = [name for name in self._keep if f".{name}." in f".{field}."]
        self.kept.update(names)
        return bool(names)

    def _whole(self, text: str) -> str:
        return self._email(text) if _EMAIL.fullmatch(text) else self._scrambled(text)

    def _text(self, text: str, field: str | None) -> str:
        """Return a text with every part replaced that looks like a secret or is known as one.

        In one pass: what is replaced is not looked at again.
        """

        def replace(match: re.Match[str]) -> str:
            part, group = match[0], match.lastgroup
            is_card = group is not None and _WHYS[group] == "card number"
            if part in self._spared or (is_card and not _is_luhn(part)):
                return part
            if field is not None:
                why = "scrubbed elsewhere" if group is None else _WHYS[group]
                self.found.setdefault(self._text(field, None), why)
            return self._whole(part)

        return self._pattern.sub(replace, text)

    def _email(self, text: str) -> str:
        local, _, domain = text.partition("@")
        return f"{self._scrambled(local)}@{self._scrambled(domain.rpartition('.')[0])}.example"

    def _scrambled(self, text: str) -> str:
        stream = hashlib.shake_256(self._key + text.encode("utf-8", "surrogatepass"))
        pairs = list(zip(text, stream.digest(len(text)), strict=True))
        scrambled = "".join(_like(char, byte) for char, byte in pairs)
        if scrambled == text:
            # Few characters come out as they were now and then, which would give them away.
            scrambled = "".join(_like(char, byte + 1) for char, byte in pairs)
        return scrambled

    def _number(self, value: int | float) -> int | float:
        digits, exponent, power = repr(abs(value)).partition("e")
        digits = self._scrambled(digits)
        # Not with a zero that would make it shorter; and zero is often told from the others.
        digits = "1" + digits[1:] if abs(value) >= 1 else digits
        if digits == repr(abs(value)).partition("e")[0]:
            # Few digits come out as they were now and then, which would give the value away.
            digits = digits[:-1] + str((int(digits[-1]) + 1) % 10)
        text = digits + exponent + power
        number = int(text) if isinstance(value, int) else float(text)
        return -number if value < 0 else number


def _leaves(value: Any, field: str, name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield field, telling name and value of what is neither list nor object."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{field}.{key}", name if _is_telling(name) else key)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, field, name)
    else:
        yield field, name, value


def _is_telling(name: str) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return plain in _TELLING_NAMES or any(part in plain for part in _TELLING_PARTS)


def _like(char: str, byte: int) -> str:
    for alphabet in (string.digits, string.ascii_lowercase, string.ascii_uppercase):
        if char in alphabet:
            return alphabet[byte % len(alphabet)]
    return "x" if char.isalpha() else char


def _is_luhn(text: str) -> bool:
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
