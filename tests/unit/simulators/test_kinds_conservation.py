"""What goes in comes out or stays: energy, water, people; and what the new kinds do when they are told to."""

from __future__ import annotations

import calendar
from contextlib import suppress
from random import Random

import pytest

from simulators.chance import SmallChance
from simulators.devices.battery import Battery
from simulators.devices.device import CommandFailed, Device
from simulators.devices.door_counter import DoorCounter
from simulators.devices.pump import Pump
from simulators.devices.pv_inverter import PvInverter
from simulators.devices.tank import Tank
from simulators.devices.thermostat import Thermostat
from simulators.devices.tracker import Tracker
from simulators.site import Site

MONDAY = calendar.timegm((2025, 6, 16, 0, 0, 0)) - 3600.0  # local midnight at the default site
HOUR = 3600.0
coarse_and_fine = pytest.mark.parametrize("dt", [0.5, 2.0, 20.0])


def run(device: Device, seconds: float, dt: float = 2.0, start: float = MONDAY + 10 * HOUR) -> None:
    for step in range(1, round(seconds / dt) + 1):
        device.step(start + step * dt, dt, dt)


@coarse_and_fine
def test_a_battery_accounts_for_every_kilowatt_hour(dt: float) -> None:
    battery = Battery(SmallChance("battery"))
    stored = battery._stored
    rng = Random(1)
    for _ in range(60):
        battery.execute("set_mode", {"mode": rng.choice(["automatic", "standby", "manual"])})
        if rng.random() < 0.7:
            with suppress(CommandFailed):  # it is full, or empty
                battery.execute("set_power", {"kw": rng.uniform(-10.0, 10.0)})
        run(battery, 600.0, dt)
        assert 0.0 <= battery._stored <= battery.capacity_kwh + 1e-9
        assert battery.grid == pytest.approx(battery.load + battery.power - battery.solar)
    assert battery.energy_in > 5.0
    assert battery.energy_out > 5.0
    assert stored + battery.energy_in == pytest.approx(battery.energy_out + battery.losses + battery._stored, abs=1e-9)
    assert 0.03 < battery.losses / (battery.energy_in + battery.energy_out) < 0.05


def test_a_battery_charges_in_the_sun_and_carries_the_evening() -> None:
    battery = Battery(SmallChance("evening"))
    charge = {}
    for hour in range(24):
        run(battery, HOUR, 10.0, MONDAY + hour * HOUR)
        charge[hour] = battery.charge
    assert charge[15] > charge[6] + 10.0
    assert charge[23] < charge[17]


def test_a_battery_respects_its_reserve_and_standby() -> None:
    battery = Battery(SmallChance("reserve"))
    battery.execute("set_reserve", {"percent": 60})
    battery._stored = 0.62 * battery.capacity_kwh
    run(battery, 6 * HOUR, 10.0, MONDAY)  # at night
    assert battery.charge >= 59.9
    battery.execute("set_mode", {"mode": "standby"})
    run(battery, 60.0)
    assert battery.power == pytest.approx(0.0, abs=0.01)
    assert battery.state == "idle"


@coarse_and_fine
def test_a_tank_holds_what_flowed_in_and_not_out(dt: float) -> None:
    tank = Tank(SmallChance("tank"))
    rng = Random(2)
    volume = balance = tank._volume
    for step in range(4000):
        if step % 50 == 0:
            tank.execute("set_outlet", {"percent": rng.uniform(0.0, 100.0)})
            try:
                tank.execute("set_inlet", {"open": rng.random() < 0.5})
            except CommandFailed:
                tank.execute("set_control", {"control": "automatic"})
        tank.step(MONDAY + (step + 1) * dt, dt, dt)
        balance += (tank.inflow - tank.outflow) * dt / 3600.0
        volume = tank._volume
        assert 0.0 <= volume <= tank.capacity_m3
        assert tank.inflow >= 0.0
        assert tank.outflow >= 0.0
    assert volume == pytest.approx(balance, abs=1e-6)


def test_a_door_counts_everybody_once() -> None:
    door = DoorCounter(SmallChance("door"))
    inside = {}
    for hour in range(24):
        before = (door.entries, door.exits, door.passages)
        run(door, HOUR, 10.0, MONDAY + hour * HOUR)
        assert door.inside == door.entries - door.exits
        assert door.passages - before[2] == door.entries - before[0] + door.exits - before[1]
        inside[hour] = door.inside
    assert inside[10] > 3 * inside[3], "people come to work"
    assert door.execute("reset_passages", {}) > 100
    assert door.passages == 0


def test_a_locked_door_lets_people_out_only() -> None:
    door = DoorCounter(SmallChance("locked"))
    run(door, 600.0)
    while door.open:
        run(door, 1.0, 1.0)
    entries, exits = door.entries, door.exits
    door.execute("set_locked", {"locked": True})
    run(door, 1800.0)
    assert door.entries == entries
    assert door.exits > exits


def test_a_solar_day_has_a_noon_and_a_night_and_its_energy_is_the_sum_of_its_power() -> None:
    inverter = PvInverter(SmallChance("solar"))
    energy, summed, power = inverter.energy, 0.0, {}
    for hour in range(24):
        for minute in range(60):
            before = inverter.power
            inverter.step(MONDAY + hour * HOUR + (minute + 1) * 60.0, 60.0, 60.0)
            summed += 0.5 * (before + inverter.power) / 60.0
        power[hour] = inverter.power
    assert power[2] == pytest.approx(0.0, abs=0.001)
    assert max(power[11], power[12], power[13]) > 1.0
    assert inverter.energy - energy == pytest.approx(summed, abs=1e-6)
    assert 5.0 < summed < 90.0
    assert inverter.state == "standby"


def test_a_limited_inverter_gives_no_more_than_its_limit() -> None:
    inverter = PvInverter(SmallChance("limit"), site=Site("Quito", -0.2, -78.5, -5.0))
    noon = MONDAY + 18 * HOUR
    run(inverter, 600.0, 2.0, noon)
    assert inverter.power > 1.5
    inverter.execute("set_limit", {"percent": 10})
    run(inverter, 30.0, 2.0, noon + 600.0)
    assert inverter.power <= 1.01
    assert inverter.state == "limited"
    inverter.execute("set_enabled", {"on": False})
    run(inverter, 30.0, 2.0, noon + 630.0)
    assert inverter.power < 0.01
    assert inverter.state == "off"


def test_neighbours_see_the_same_clouds_a_little_apart() -> None:
    inverters = [PvInverter(SmallChance(f"row {n}")) for n in range(8)]
    shapes: list[list[float]] = [[] for _ in inverters]
    for step in range(240):
        for inverter, shape in zip(inverters, shapes, strict=True):
            inverter.step(MONDAY + 9 * HOUR + step * 60.0, 60.0, 60.0)
            shape.append(inverter.irradiance)
    spread = [max(values) - min(values) for values in zip(*shapes, strict=True)]
    assert max(spread[20:]) > 1.0
    assert sum(spread[20:]) / len(spread[20:]) < 0.4 * (max(shapes[0]) - min(shapes[0]))


def test_wear_shows_in_the_high_band_and_a_new_bearing_cures_it() -> None:
    worn, new = Pump(SmallChance("same")), Pump(SmallChance("same"))
    worn.wear, new.wear = 95.0, 1.0
    run(worn, 30.0)
    run(new, 30.0)
    assert worn.vibration_high > 2.0 * new.vibration_high
    assert worn.vibration_low == pytest.approx(new.vibration_low, rel=0.5)
    assert worn.vibration**2 == pytest.approx(worn.vibration_low**2 + worn.vibration_high**2)
    assert worn.wear > 95.0
    with pytest.raises(CommandFailed, match="stop it first"):
        worn.execute("replace_bearing", {})
    worn.execute("stop", {})
    worn.execute("replace_bearing", {})
    assert worn.wear == 0.0


def test_a_worn_out_bearing_stops_the_pump_until_somebody_comes() -> None:
    pump = Pump(SmallChance("old"))
    pump.wear = 99.9999
    run(pump, 60.0)
    assert pump.fault == "bearing worn out"
    run(pump, 200.0)
    assert pump.state == "running"
    assert pump.wear < 1.0


def test_a_tracker_keeps_to_streets_and_to_its_site() -> None:
    porto = Site("Porto", 41.15, -8.61, 0.0)
    tracker = Tracker(SmallChance("streets"), site=porto)
    headings = set()
    for step in range(2000):
        tracker.step(MONDAY + 10 * HOUR + step, 1.0)
        headings.add(tracker.heading)
        assert abs(tracker.latitude - 41.15) < 0.03
        assert abs(tracker.longitude + 8.61) < 0.04
    assert headings <= {0.0, 90.0, 180.0, 270.0}
    assert len(headings) >= 3


def test_the_weather_reaches_the_rooms() -> None:
    def valve(site: Site) -> float:
        thermostat = Thermostat(SmallChance("room"), site=site)
        thermostat.do_set_setpoint(21.0)
        run(thermostat, 1800.0)
        return thermostat.valve

    assert valve(Site("Tromso", 69.6, 19.0, 1.0)) > valve(Site("Singapore", 1.3, 103.8, 8.0)) + 2.0


def test_a_working_day_is_busier_than_sunday() -> None:
    def passages(day: int) -> int:
        door = DoorCounter(SmallChance("week"))
        run(door, 24 * HOUR, 20.0, MONDAY + day * 24 * HOUR)
        return door.passages

    assert passages(1) > 1.5 * passages(6)
