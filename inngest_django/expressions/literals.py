"""The value of a literal token."""

from __future__ import annotations

from inngest_django.expressions.errors import EvaluationFault

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1

_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "`": "`",
    "?": "?",
}
_HEX_DIGITS = {"x": 2, "X": 2, "u": 4, "U": 8}
_OCTAL_DIGITS = 3
_LONG_QUOTES = ('"""', "'''")


def value_of(token_type: str, text: str) -> object:
    """Return the Python value of a literal.

    Raises:
        EvaluationFault: The dialect has no such literal; the message says which.
    """
    match token_type:
        case "STRING_LIT" | "MLSTRING_LIT":
            return _string(text)
        case "INT_LIT":
            return _integer(text)
        case "FLOAT_LIT":
            return _double(text)
        case "BOOL_LIT":
            return text == "true"
        case "NULL_LIT":
            return None
        case "UINT_LIT":
            raise EvaluationFault("unsigned numbers are not supported. Remove the u.")
        case _:
            raise EvaluationFault("bytes are not supported. Use a string.")


def _integer(text: str) -> int:
    is_hex = text.lower().lstrip("-").startswith("0x")
    # Longer decimals than this raise ValueError before they could be compared.
    number = int(text, 16 if is_hex else 10) if len(text) < 100 else INT_MAX + 1
    if not INT_MIN <= number <= INT_MAX:
        raise EvaluationFault(
            "a whole number must fit in 64 bits. Write it as a double, such as 1e20."
        )
    return number


def _double(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise EvaluationFault("a number is too large for a double.")
    return number


def _string(text: str) -> str:
    is_raw = text[0] in "rR"
    quoted = text[1:] if is_raw else text
    width = 3 if quoted[:3] in _LONG_QUOTES and len(quoted) > 5 else 1
    body = quoted[width:-width]
    return body if is_raw or "\\" not in body else _unescaped(body)


def _unescaped(body: str) -> str:
    parts: list[str] = []
    position = 0
    while (found := body.find("\\", position)) >= 0:
        parts.append(body[position:found])
        # The lexer lets a lone backslash end a string; CEL does not.
        character, position = _escape(body, found + 1)
        parts.append(character)
    parts.append(body[position:])
    return "".join(parts)


def _escape(body: str, start: int) -> tuple[str, int]:
    letter = body[start : start + 1]
    if letter in _ESCAPES:
        return _ESCAPES[letter], start + 1
    if letter in _HEX_DIGITS:
        end = start + 1 + _HEX_DIGITS[letter]
        return _code_point(body[start + 1 : end], 16, _HEX_DIGITS[letter]), end
    end = start + _OCTAL_DIGITS
    return _code_point(body[start:end], 8, _OCTAL_DIGITS), end


def _code_point(digits: str, base: int, width: int) -> str:
    allowed = "0123456789abcdef"[:base]
    valid = len(digits) == width and all(d in allowed for d in digits.lower())
    code = int(digits, base) if valid else -1
    is_surrogate = 0xD800 <= code <= 0xDFFF
    if not 0 <= code <= 0x10FFFF or is_surrogate or (base == 8 and code > 0xFF):
        raise EvaluationFault(
            "a string has an escape that CEL does not know. "
            'Write a backslash as \\\\, or use a raw string such as r"\\d".'
        )
    return chr(code)
