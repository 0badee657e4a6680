"""The laws, the site's sky and people, and that nothing in them depends on the platform's maths library."""

from __future__ import annotations

import ast
import calendar
import math
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

import simulators
from simulators.chance import SmallChance, bell
from simulators.physics import approach, cosine, count_of, decay, happens, sine, smooth_step, wander
from simulators.site import DEFAULT_SITE, Site, activity_at, noise, sun_direction

SOURCES = Path(simulators.__file__).parent
PURE = [
    *sorted((SOURCES / "devices").glob("*.py")),
    *(SOURCES / f"{name}.py" for name in ("physics", "site", "chance", "backfill", "fleet", "roster")),
]
# What IEEE 754 defines to the last bit, or what is exact anyway.
EXACT = {"sqrt", "floor", "ceil", "inf", "isfinite", "nan", "isnan"}
INEXACT_CHANCE = {"gauss", "normalvariate", "expovariate", "lognormvariate", "betavariate", "gammavariate"}


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.stem)
def test_only_arithmetic_that_is_the_same_everywhere(path: Path) -> None:
    """exp, cos and `**` come from the platform's C library, whose last digit differs between systems."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "math":
            assert {name.name for name in node.names} <= EXACT
        if isinstance(node, ast.Import):
            assert "math" not in {name.name for name in node.names}, "import by name, so that this test sees what"
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow):
            constant = isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant) and node.left.value == 2.0
            assert constant, f"line {node.lineno}: a power"
        if isinstance(node, ast.Attribute):
            assert node.attr not in INEXACT_CHANCE, f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"hash", "pow", "set", "frozenset"}, f"line {node.lineno}: no order, no hash"


def test_the_substitutes_are_as_exact_as_they_say() -> None:
    assert max(abs(sine(n / 997.0) - math.sin(2.0 * math.pi * n / 997.0)) for n in range(-3000, 3000)) < 6e-8
    assert cosine(0.0) == pytest.approx(1.0, abs=6e-8)
    for x in (0.0, 0.1, 0.3, 0.5):
        assert decay(x) == pytest.approx(math.exp(-x), rel=2e-5)
    assert decay(1.0) == pytest.approx(math.exp(-1.0), rel=6.1e-4)
    falling = [decay(n / 10.0) for n in range(1000)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] > 0.0


def test_a_step_response_has_its_time_constant() -> None:
    value = 20.0
    for _ in range(100):
        value = approach(value, 30.0, 0.5, 50.0)
    assert value == pytest.approx(20.0 + 10.0 * (1.0 - math.exp(-1.0)), abs=0.01)


def test_the_length_of_the_steps_does_not_matter() -> None:
    fine = 0.0
    for _ in range(600):
        fine = approach(fine, 1.0, 0.1, 60.0)
    assert fine == pytest.approx(approach(0.0, 1.0, 60.0, 60.0), abs=1e-3)


def test_a_walk_keeps_to_its_mean_and_spread() -> None:
    rng, value, seen = SmallChance("walk"), 5.0, []
    for _ in range(40_000):
        value = wander(value, 5.0, 2.0, 10.0, 0.7, rng)
        seen.append(value)
    mean = sum(seen) / len(seen)
    assert mean == pytest.approx(5.0, abs=0.05)
    assert math.sqrt(sum((x - mean) ** 2 for x in seen) / len(seen)) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("dt", [0.5, 5.0, 20.0])
def test_events_come_as_often_as_they_should(dt: float) -> None:
    rng = SmallChance("events")
    share = sum(happens(dt, 30.0, rng) for _ in range(20_000)) / 20_000
    assert share == pytest.approx(1.0 - math.exp(-dt / 30.0), abs=0.012)
    counted = sum(count_of(dt / 3.0, rng) for _ in range(20_000)) / 20_000
    assert counted == pytest.approx(dt / 3.0, rel=0.05)


def test_chance_is_fair_and_repeatable() -> None:
    first, again, other = SmallChance("1/pump-01"), SmallChance("1/pump-01"), SmallChance("1/pump-02")
    drawn = [first.random() for _ in range(20_000)]
    assert drawn == [again.random() for _ in range(20_000)]
    assert drawn[:50] != [other.random() for _ in range(50)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.5, abs=0.01)
    bells = [bell(first) for _ in range(20_000)]
    assert sum(bells) / len(bells) == pytest.approx(0.0, abs=0.02)
    assert sum(b * b for b in bells) / len(bells) == pytest.approx(1.0, abs=0.03)
    assert abs(sum(a * b for a, b in pairwise(bells)) / len(bells)) < 0.02
    counts = [0] * 7
    for _ in range(7_000):
        counts[first.randrange(7)] += 1
        assert first.choice("abc") in "abc"
        assert first.randrange(15, 36, 5) in {15, 20, 25, 30, 35}
    assert min(counts) > 850
    assert -4.0 < bell(Random(1)) < 4.0, "Python's own generator fits as well"


GOLDEN_DRAWS = [1629962629, 20118933, 198190796]


def test_golden_first_draws() -> None:
    """Never to change: every recorded digest hangs on it."""
    rng = SmallChance("golden")
    assert [rng.getrandbits(32) for _ in range(3)] == GOLDEN_DRAWS


def at(year: int, month: int, day: int, hour: float) -> float:
    return calendar.timegm((year, month, day, 0, 0, 0)) + hour * 3600.0


def test_the_sun_stands_where_it_should() -> None:
    greenwich = (51.48, 0.0)
    # At noon of the solstices the sun stands 90 - 51.48 +- 23.44 degrees high, in the south.
    for month, height in ((6, 61.96), (12, 15.08)):
        east, north, up = sun_direction(at(2025, month, 21, 12.0), *greenwich)
        assert math.degrees(math.asin(up)) == pytest.approx(height, abs=1.0)
        assert north < 0.0
        assert abs(east) < 0.05
        assert east * east + north * north + up * up == pytest.approx(1.0, abs=1e-6)
    assert sun_direction(at(2025, 6, 21, 8.0), *greenwich)[0] > 0.5, "in the east in the morning"
    assert sun_direction(at(2025, 3, 20, 12.0), 0.0, 0.0)[2] == pytest.approx(1.0, abs=0.01)
    assert sun_direction(at(2025, 6, 21, 12.0), -33.9, 18.4)[1] > 0.0, "in the north, from Cape Town"
    assert sun_direction(at(2025, 6, 21, 19.0), 37.8, -122.4)[2] > 0.8, "noon in San Francisco is evening in UTC"


def test_people_keep_local_time_and_the_weekend() -> None:
    friday_noon_utc = at(2025, 6, 20, 12.0)
    new_york = Site("New York", 40.7, -74.0, -5.0)
    auckland = Site("Auckland", -36.8, 174.8, 12.0)
    assert DEFAULT_SITE.at(friday_noon_utc).hour == 13.0
    assert DEFAULT_SITE.at(friday_noon_utc).weekday == 4
    assert new_york.at(friday_noon_utc).hour == 7.0
    assert auckland.at(friday_noon_utc).weekday == 5, "Saturday already"
    assert auckland.at(friday_noon_utc).activity < 0.2
    week = [activity_at(10.0, weekday) for weekday in range(7)]
    assert min(week[:5]) > 0.9
    assert max(week[5:]) < 0.5
    assert activity_at(12.5, 2) < activity_at(10.5, 2), "lunch"
    assert all(0.1 <= activity_at(hour / 4.0, day) <= 1.0 for hour in range(96) for day in range(7)), "never dead"


def test_the_weather_hangs_together_and_stays_sane() -> None:
    start = at(2025, 1, 1, 0.0)
    year = [DEFAULT_SITE.at(start + hour * 3600.0) for hour in range(0, 8760, 3)]
    for sky in year:
        assert 0.0 <= sky.cloud <= 1.0
        assert 0.0 <= sky.irradiance < 1100.0
        assert -25.0 < sky.temperature < 40.0
        assert 960.0 < sky.pressure < 1060.0
        assert 0.0 < sky.wind < 25.0
        assert 0.0 <= sky.rain < 20.0
        assert sky.irradiance == 0.0 or sky.sun_height > 0.0
        assert sky.rain == 0.0 or sky.cloud > 0.7
    noons = [sky for sky in year if 11.0 <= sky.hour <= 14.0]
    clear = [sky.irradiance / sky.sun_height for sky in noons if sky.cloud < 0.3]
    dull = [sky.irradiance / sky.sun_height for sky in noons if sky.cloud > 0.8]
    assert sum(clear) / len(clear) > 2.0 * sum(dull) / len(dull)
    summer = [sky.temperature for sky in year[4 * 1000 // 3 : 5 * 1000 // 3 + 200]]
    winter = [sky.temperature for sky in year[:300]]
    assert sum(summer) / len(summer) > sum(winter) / len(winter) + 5.0


def test_the_weather_does_not_depend_on_who_asks_when() -> None:
    one, other = Site("Here", 50.0, 8.0, 1.0), Site("Here", 50.0, 8.0, 1.0)
    times = [1.75e9 + 7.0 * step for step in range(600)]
    assert [one.at(t) for t in times] == [other.at(t) for t in reversed(times)][::-1]
    assert Site("There", 50.0, 8.0, 1.0).at(1.75e9).cloud != one.at(1.75e9).cloud


def test_noise_is_smooth_and_bounded() -> None:
    line = [noise(7, n / 50.0) for n in range(-2000, 2000)]
    assert max(abs(b - a) for a, b in pairwise(line)) < 0.035
    assert -0.5 <= min(line) < -0.35
    assert 0.35 < max(line) <= 0.5
    assert smooth_step(-1.0) == 0.0
    assert smooth_step(2.0) == 1.0
