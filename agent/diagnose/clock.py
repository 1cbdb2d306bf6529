"""The board's clock: a wrong one makes every certificate look invalid, so it is looked at before TLS."""

from datetime import UTC, datetime

from agent.diagnose.look import Facts, Layer, Look, Outcome

MADE_S = datetime(2026, 1, 1, tzinfo=UTC).timestamp()  # no clock is right that is before this program was written
SLACK_S = 300  # a page's date is a second old; certificates are made with more room than this


def look(wall_s: float, synced: bool, centre_s: float | None) -> Look:
    """`centre_s` is the centre's own time, read a moment ago, where it could be had."""
    facts: Facts = {"clock": _written(wall_s), "synced": "yes" if synced else "no"}
    if centre_s is not None:
        facts |= {"centre": _written(centre_s), "off_s": round(wall_s - centre_s)}
        return Look(
            Layer.CLOCK, Outcome.CLOCK_RIGHT if abs(wall_s - centre_s) <= SLACK_S else Outcome.CLOCK_WRONG, facts
        )
    if wall_s < MADE_S:
        return Look(Layer.CLOCK, Outcome.CLOCK_WRONG, facts)
    return Look(Layer.CLOCK, Outcome.CLOCK_RIGHT if synced else Outcome.CLOCK_UNSURE, facts)


def _written(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
