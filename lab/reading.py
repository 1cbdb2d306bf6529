"""Takes plain values out of parsed YAML; every refusal names key, value and reason."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping


class Refusal(ValueError):
    """What somebody wrote cannot be meant."""

    def __init__(self, key: str, value: object, reason: str) -> None:
        super().__init__(f"{key} = {_short(value)}: {reason}")


def table(key: str, value: object, known: Collection[str], needed: Collection[str] = ()) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise Refusal(key, value, "must be a table of keys and values")
    for name in value:
        if name not in known:
            raise Refusal(f"{key}.{name}", value[name], f"unknown key; known are {', '.join(sorted(known))}")
    for name in needed:
        if name not in value:
            raise Refusal(key, dict(value), f"{name} is missing")
    return dict(value)


def rows(key: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise Refusal(key, value, "must be a list")
    return value


def number(key: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise Refusal(key, value, "must be a number")
    if not low <= value <= high:
        raise Refusal(key, value, f"must be between {low:g} and {high:g}")
    return float(value)


def whole(key: str, value: object, low: int, high: int) -> int:
    if number(key, value, low, high) != int(number(key, value)):
        raise Refusal(key, value, "must be a whole number")
    return int(number(key, value))


def flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise Refusal(key, value, "must be true or false")
    return value


def text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Refusal(key, value, "must be a text that is not empty")
    return value


def word(key: str, value: object, known: Collection[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise Refusal(key, value, f"must be one of {', '.join(known)}")
    return value


def _short(value: object) -> str:
    shown = "true" if value is True else "false" if value is False else str(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
