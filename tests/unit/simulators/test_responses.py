"""Commands change the physics: what an operator does is seen in the readings, as fast as promised."""

from __future__ import annotations

import math
from random import Random

import pytest

from simulators.devices.air_quality import AirQuality
from simulators.devices.cold_storage import ColdStorage
from simulators.devices.device import CommandFailed, Device
from simulators.devices.power_meter import PowerMeter
from simulators.devices.pump import Pump
from simulators.devices.tank import Tank
from simulators.devices.thermostat import Thermostat
from simulators.devices.tracker import Tracker
from simulators.devices.weather import WeatherStation

NOON = 1_749_988_800.0


def run(device: Device, seconds: float, dt: float = 0.5) -> None:
    for step in range(round(seconds / dt)):
        device.step(NOON + step * dt, dt)


def test_thermostat_follows_its_setpoint_with_its_time_constant() -> None:
    thermostat = Thermostat(Random(1))
    thermostat.do_set_setpoint(18.0)
    run(thermostat, 240.0)
    start = thermostat.temperature
    assert start == pytest.approx(18.0, abs=0.5)
    thermostat.execute("set_setpoint", {"value": 24})
    reached = next(t for t in range(200) if run(thermostat, 1.0) or thermostat.temperature > start + 6.0 * 0.632)
    assert 15 <= reached <= 30
    run(thermostat, 120.0)
    assert thermostat.temperature == pytest.approx(24.0, abs=0.5)


def test_thermostat_shows_a_clear_change_within_fifteen_seconds() -> None:
    thermostat = Thermostat(Random(2))
    run(thermostat, 60.0)
    before, humid = thermostat.temperature, thermostat.humidity
    thermostat.do_set_setpoint(thermostat.setpoint + 4.0)
    run(thermostat, 15.0)
    assert thermostat.temperature > before + 1.2
    assert thermostat.humidity < humid, "warmer air is drier"
    assert thermostat.heating


def test_thermostat_cools_down_when_off_and_saves_in_eco() -> None:
    thermostat = Thermostat(Random(3))
    thermostat.do_set_setpoint(22.0)
    thermostat.do_set_mode("eco")
    run(thermostat, 200.0)
    assert thermostat.temperature == pytest.approx(19.0, abs=0.5)
    thermostat.do_set_mode("off")
    run(thermostat, 30.0)
    assert not thermostat.heating
    assert thermostat.temperature < 17.5


def test_thermostat_refuses_while_locked() -> None:
    thermostat = Thermostat(Random(4))
    thermostat.execute("set_lock", {"locked": True})
    with pytest.raises(CommandFailed, match="locked"):
        thermostat.execute("set_setpoint", {"value": 20})
    thermostat.execute("set_lock", {"locked": False})
    assert thermostat.execute("set_setpoint", {"value": 20}) == 20.0


def test_pump_dies_away_within_seconds_of_a_stop() -> None:
    pump = Pump(Random(1))
    run(pump, 20.0)
    assert pump.vibration > 0.6
    assert pump.flow > 20.0
    pump.execute("stop", {})
    run(pump, 8.0)
    assert pump.vibration < 0.2
    assert pump.flow < 1.0
    assert pump.power < 0.2
    pump.execute("start", {})
    run(pump, 15.0)
    assert pump.flow > 20.0


def test_pump_follows_the_affinity_laws() -> None:
    pump = Pump(Random(2))
    pump.do_set_speed(100.0)
    run(pump, 30.0)
    flow, pressure, power = pump.flow, pump.pressure, pump.power
    pump.do_set_speed(50.0)
    run(pump, 30.0)
    assert pump.flow / flow == pytest.approx(0.5, abs=0.05)
    assert pump.pressure / pressure == pytest.approx(0.25, abs=0.05)
    assert pump.power / power == pytest.approx(0.125, abs=0.03)


def test_pump_against_a_closed_valve_overheats_and_then_refuses() -> None:
    pump = Pump(Random(3))
    pump.do_set_speed(100.0)
    run(pump, 20.0)
    pump.execute("set_valve", {"open": False})
    run(pump, 5.0)
    assert pump.flow < 1.0
    seconds = next(t for t in range(120) if run(pump, 1.0) or pump.fault != "none")
    assert 5 <= seconds <= 60
    assert (pump.fault, pump.state, pump.running) == ("overheated", "fault", False)
    for name, args in (("set_valve", {"open": True}), ("start", {})):
        with pytest.raises(CommandFailed, match="fault"):
            pump.execute(name, args)
    pump.execute("reset_fault", {})
    pump.execute("set_valve", {"open": True})
    pump.execute("start", {})
    run(pump, 15.0)
    assert pump.flow > 20.0


def test_pump_in_fault_is_looked_after_in_the_end() -> None:
    pump = Pump(Random(4))
    pump.do_set_speed(100.0)
    pump.do_set_valve(False)
    run(pump, 60.0)
    assert pump.state == "fault"
    run(pump, 160.0)
    assert pump.state == "running"


def test_power_meter_opens_its_relay_and_counts_no_more() -> None:
    meter = PowerMeter(Random(1))
    run(meter, 10.0)
    assert meter.power > 0.3
    assert meter.current == pytest.approx(1000 * meter.power / (meter.voltage * meter.power_factor), rel=0.1)
    meter.execute("set_relay", {"closed": False})
    run(meter, 5.0)
    assert meter.power < 0.01
    energy = meter.energy
    run(meter, 60.0)
    assert meter.energy == pytest.approx(energy, abs=1e-4)
    meter.execute("set_relay", {"closed": True})
    run(meter, 5.0)
    assert meter.power > 0.2


def test_power_meter_trips_and_must_be_reset() -> None:
    meter = PowerMeter(Random(2))
    meter._base_kw = 3.0
    meter.execute("set_limit", {"limit": 1})
    run(meter, 10.0)
    assert (meter.state, meter.relay) == ("tripped", False)
    with pytest.raises(CommandFailed, match="reset"):
        meter.execute("set_relay", {"closed": True})
    meter.execute("set_limit", {"limit": 15})
    meter.execute("reset_trip", {})
    assert meter.execute("set_relay", {"closed": True}) is True


def test_air_clears_when_it_is_ventilated_and_only_then_can_the_sensor_be_calibrated() -> None:
    air = AirQuality(Random(1))
    air.people = 20
    air.do_set_ventilation(5.0)
    run(air, 300.0)
    stale = air.co2
    assert stale > 900
    with pytest.raises(CommandFailed, match="ventilate"):
        air.execute("calibrate", {"reference": 420})
    air.execute("set_ventilation", {"percent": 100})
    run(air, 30.0)
    assert air.co2 < stale - 0.45 * (stale - 500)
    run(air, 120.0)
    assert air.execute("calibrate", {"reference": 500}) == 500
    run(air, 0.5)
    assert air.co2 == pytest.approx(500, abs=25)


def test_tank_level_follows_what_flows_in_and_out() -> None:
    tank = Tank(Random(1))
    tank.execute("set_inlet", {"open": False})
    level = tank.level
    run(tank, 30.0)
    assert tank.level < level - 2.0
    tank.execute("set_outlet", {"percent": 0})
    tank.execute("set_inlet", {"open": True})
    level = tank.level
    run(tank, 20.0)
    assert tank.level > level + 8.0
    run(tank, 300.0)
    assert 90.0 < tank.level <= 100.0
    assert not tank.inlet_open, "the protection closed it"
    assert tank.state == "high"
    with pytest.raises(CommandFailed, match="overfill"):
        tank.execute("set_inlet", {"open": True})


def test_tank_keeps_its_level_by_itself() -> None:
    tank = Tank(Random(2))
    levels = []
    for _ in range(600):
        run(tank, 2.0)
        levels.append(tank.level)
    assert 25.0 < min(levels) < 40.0
    assert 75.0 < max(levels) < 90.0


def test_cold_room_cools_when_told_to_and_the_evaporator_shows_it_at_once() -> None:
    room = ColdStorage(Random(1))
    room.do_set_setpoint(2.0)
    room.temperature = 2.0
    run(room, 60.0)
    evaporator = room.evaporator
    room.execute("set_setpoint", {"value": -10})
    run(room, 15.0)
    assert room.compressor
    assert room.power > 1.0
    assert room.evaporator < evaporator - 3.0
    run(room, 400.0)
    assert room.temperature < -5.0


def test_cold_room_defrosts_only_with_the_door_shut() -> None:
    room = ColdStorage(Random(2))
    room.door_open, room._door_s = True, 5.0
    with pytest.raises(CommandFailed, match="door"):
        room.execute("defrost", {"minutes": 1})
    room.door_open = False
    assert room.execute("defrost", {"minutes": 1}) == "defrosting"
    run(room, 8.0)
    assert not room.compressor or room.state == "door open"


def test_cold_room_warms_while_the_door_is_open() -> None:
    room = ColdStorage(Random(3))
    room.do_set_setpoint(-18.0)
    room.temperature = -18.0
    room.door_open, room._door_s = True, 20.0
    run(room, 15.0)
    assert room.state == "door open"
    assert room.temperature > -17.0


def test_tracker_moves_as_its_speed_says() -> None:
    tracker = Tracker(Random(1))
    run(tracker, 20.0)
    way = driven = 0.0
    for _ in range(200):
        before = (tracker.latitude, tracker.longitude)
        run(tracker, 0.5)
        north = (tracker.latitude - before[0]) * 111_320.0
        east = (tracker.longitude - before[1]) * 111_320.0 * math.cos(math.radians(tracker.latitude))
        way += math.hypot(north, east)
        driven += tracker.speed / 3.6 * 0.5
    assert way == pytest.approx(driven, rel=0.01)
    assert way > 100.0


def test_tracker_can_be_told_its_interval_and_answers_where_it_is() -> None:
    tracker = Tracker(Random(2), interval_s=1.0)
    assert tracker.execute("set_report_interval", {"seconds": 15}) == 15.0
    assert tracker.interval_s == 15.0
    assert tracker.values()["report_interval"] == 15.0
    assert tracker.execute("locate", {}) == {
        "latitude": tracker.values()["latitude"],
        "longitude": tracker.values()["longitude"],
    }


def test_tracker_is_only_immobilised_at_rest() -> None:
    tracker = Tracker(Random(3))
    tracker.speed = 30.0
    with pytest.raises(CommandFailed, match="moving"):
        tracker.execute("set_immobiliser", {"on": True})
    tracker.speed = 0.0
    tracker.execute("set_immobiliser", {"on": True})
    run(tracker, 10.0)
    assert (tracker.speed, tracker.state) == (0.0, "immobilised")


def test_tracker_charges_before_it_is_empty() -> None:
    tracker = Tracker(Random(4))
    seen = set()
    for _ in range(1800):
        run(tracker, 2.0, dt=2.0)
        seen.add(tracker.state)
        assert tracker.battery > 0.5
    assert {"driving", "charging", "loading"} <= seen


def test_weather_station_heater_dries_its_sensor_and_calibration_checks_the_reference() -> None:
    station = WeatherStation(Random(1))
    run(station, 60.0)
    humid = station.humidity
    station.execute("set_heater", {"on": True})
    run(station, 40.0)
    assert station.humidity < humid - 8.0
    with pytest.raises(CommandFailed, match="reference"):
        station.execute("calibrate_pressure", {"reference": 960})
    station.execute("calibrate_pressure", {"reference": round(station.pressure) + 1})
    run(station, 1.0)
    assert station.pressure == pytest.approx(round(station.pressure), abs=0.6)


def test_weather_station_averaging_calms_the_wind() -> None:
    def spread(seconds: int) -> float:
        station = WeatherStation(Random(5))
        station.execute("set_averaging", {"seconds": seconds})
        run(station, 120.0)
        steps = []
        for _ in range(200):
            before = station.wind_speed
            run(station, 0.5)
            steps.append(abs(station.wind_speed - before))
        return sum(steps)

    assert spread(30) < 0.3 * spread(1)
