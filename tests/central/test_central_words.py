"""The words of the pages for times and figures."""

import pytest

from central.edge.web.templatetags.words import takes


@pytest.mark.parametrize(
    ("time_s", "expected"),
    [(0.3, "1 detik"), (90, "90 detik"), (91, "2 menit"), (120, "2 menit"), (7200, "2 jam"), (7201, "3 jam")],
)
def test_what_will_take_a_while_is_rounded_up(time_s: float, expected: str) -> None:
    assert takes(time_s) == expected
