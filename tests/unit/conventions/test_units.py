"""Units that names imply, and those they must not."""

from __future__ import annotations

import pytest

from bridge.conventions.units import infer_unit, known_unit


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("temp_C", "°C"),
        ("tempC", "°C"),
        ("temp_F", "°F"),
        ("temp_K", "K"),
        ("Temp [°C]", "°C"),
        ("Druck (bar)", "bar"),
        ("speed ( km/h )", "km/h"),
        ("pressure_hPa", "hPa"),
        ("pressurehPa", "hPa"),
        ("energy_kWh", "kWh"),
        ("energy_kwh", "kWh"),
        ("power_W", "W"),
        ("power_mW", "mW"),
        ("power_MW", "MW"),
        ("wind_kmh", "km/h"),
        ("wind_m_s", "m/s"),
        ("flow_m3_h", "m³/h"),
        ("dust_ug_m3", "µg/m³"),
        ("co2_ppm", "ppm"),
        ("batteryPct", "%"),
        ("battery_percent", "%"),
        ("rssi_dbm", "dBm"),
        ("volt_mV", "mV"),
        ("current_A", "A"),
        ("uptime_s", "s"),
        ("on_time_min", "min"),
        ("loop_ms", "ms"),
        ("distance_m", "m"),
        ("distance_cm", "cm"),
        ("distanceCm", "cm"),
        ("weight_g", "g"),
        ("volume_L", "L"),
        ("lux", "lx"),
        ("fan_rpm", "rpm"),
        ("angle_deg", "°"),
    ],
)
def test_inferred(key: str, unit: str) -> None:
    assert infer_unit(key) == unit


@pytest.mark.parametrize(
    "key",
    [
        *[
            "temp",
            "temperature",
            "humidity",
            "temp_min",
            "temp_ma",
            "phase_A",
            "channel_C",
            "relay_s",
            "vitaminC",
            "stateA",
        ],
        *["power_mw", "", "_", "C", "s", "room_h", "level_m", "x_n", "Power (total)", "a__C__", "()", "[]", "sensor_V"],
        *["energykWh", "peakWh", "currentmA", "peakW", "pressurekPa"],
    ],
)
def test_not_inferred(key: str) -> None:
    assert infer_unit(key) == ""


def test_written_units() -> None:
    assert known_unit("°C") == known_unit("C") == known_unit("celsius") == "°C"
    assert known_unit("KWH") == "kWh"
    assert known_unit("mw") == ""
    assert known_unit("parsecs") == ""
