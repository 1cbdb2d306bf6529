"""The hours of a day in which no bandwidth is tested, because people need all of it."""

from dataclasses import dataclass

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Hours:
    """By the centre's own clock; past midnight where the end is before the beginning."""

    begin_s: int
    end_s: int
    """Since midnight."""

    def left_s(self, day_s: float) -> float:
        """Until they end; 0 outside them."""
        left_s = (self.end_s - day_s) % DAY_S
        return left_s if left_s <= (self.end_s - self.begin_s) % DAY_S else 0.0


def left_s(quiet: tuple[Hours, ...], day_s: float) -> float:
    """Until nobody needs quiet, as far as the hours that have begun can tell."""
    return max((hours.left_s(day_s) for hours in quiet), default=0.0)
