"""Ages, health and figures in the words of the pages."""

from math import ceil

from django import template

register = template.Library()

HEALTH = {
    "up": ("baik", "good"),
    "poor": ("terganggu", "poor"),
    "dead": ("mati", "dead"),
    "unknown": ("belum diketahui", "not known yet"),
}


@register.filter
def ago(age_s: float | None) -> str:
    """12 detik lalu."""
    return "belum pernah" if age_s is None else "baru saja" if age_s < 1 else f"{span(age_s)} lalu"


@register.filter
def ago_en(age_s: float | None) -> str:
    return "never" if age_s is None else "just now" if age_s < 1 else f"{span_en(age_s)} ago"


@register.filter
def span(age_s: float) -> str:
    return "{} {}".format(*_largest_unit(age_s, ("hari", "jam", "menit", "detik")))


@register.filter
def span_en(age_s: float) -> str:
    return "{} {}".format(*_largest_unit(age_s, ("d", "h", "min", "s")))


@register.filter
def takes(time_s: float) -> str:
    """Rounded up: who waits longer than was said is angry."""
    minutes = ceil(time_s / 60)
    if time_s <= 90:
        return f"{ceil(time_s)} detik"
    return f"{minutes} menit" if minutes < 120 else f"{ceil(minutes / 60)} jam"


def _largest_unit(age_s: float, units: tuple[str, str, str, str]) -> tuple[int, str]:
    """Two days are days; before that, hours: a person counts `30 jam` and not `1 hari` on such a day."""
    days, hours, minutes, seconds = units
    if age_s >= 2 * 86400:
        return int(age_s // 86400), days
    if age_s >= 3600:
        return int(age_s // 3600), hours
    if age_s >= 60:
        return int(age_s // 60), minutes
    return int(age_s), seconds


@register.filter
def health(value: str) -> str:
    return HEALTH[value][0]


@register.filter
def health_en(value: str) -> str:
    return HEALTH[value][1]


@register.filter
def ms(value: float | None) -> str:
    """8,4 ms, as Indonesia writes decimals."""
    if value is None:
        return "–"
    return (f"{value:.1f}" if value < 100 else f"{value:.0f}").replace(".", ",") + " ms"


@register.filter
def percent(fraction: float | None) -> str:
    if fraction is None:
        return "–"
    share = 100 * fraction
    return (f"{share:.1f}" if 0 < share < 10 else f"{share:.0f}").replace(".", ",") + " %"
