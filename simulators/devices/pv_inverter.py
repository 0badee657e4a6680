"""A solar inverter with its panels: the sun's way, clouds that pass, warm panels that give less, and curtailment."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import ClassVar

from simulators.chance import Chance, bell
from simulators.devices.device import REBOOT, Command, Device, Metric, Parameter, number, text
from simulators.physics import approach, clamp, cosine, sine
from simulators.site import CLEAR_SKY_W, DEFAULT_SITE, Conditions, Site

# Each row of panels sees a passing cloud a little later than the one before.
CLOUD_DELAY_S = 180.0
PER_KELVIN = -0.004  # crystalline silicon gives 0.4 % less for each kelvin above 25 °C
WARMING = 0.03  # kelvin above the air for each W/m² of sun in still air
EFFICIENCY = 0.972
START_W = 8.0  # of sunlight; less does not feed the inverter itself


class PvInverter(Device):
    __slots__ = (
        "_delay_s",
        "_enabled",
        "_soiling",
        "dc_current",
        "dc_voltage",
        "energy",
        "irradiance",
        "limit",
        "module_temperature",
        "power",
        "state",
    )

    KIND = "pv-inverter"
    LABEL = "Solar inverter"
    AREAS = ("Roof East", "Roof West", "Carport", "Field 1", "Field 2")
    METRICS: ClassVar[dict[str, Metric]] = {
        "power": number("Power", "kW", 0, 12, 2),
        "irradiance": number("Sunlight on the panels", "W/m²", 0, 1400, 0),
        "module_temperature": number("Panel temperature", "°C", -40, 100),
        "dc_voltage": number("DC voltage", "V", 0, 1000),
        "dc_current": number("DC current", "A", 0, 40, 2),
        "energy": number("Energy", "kWh", 0, 10_000_000, 3),
        "limit": number("Power limit", "%", 0, 100, 0),
        "state": text("State"),
    }
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_limit": Command(
            "Limit the power",
            "Curtailment, in percent of the rated power.",
            {"percent": {"type": "number", "title": "Limit (%)", "minimum": 0, "maximum": 100, "default": 100}},
        ),
        "set_enabled": Command(
            "Switch the inverter",
            properties={"on": {"type": "boolean", "title": "On", "default": True}},
        ),
        "reboot": REBOOT,
    }
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "peak_kw": Parameter("Rated power (kW)", 0.3, 5_000),
        "tilt_deg": Parameter("Tilt of the panels (°), towards the equator", 0, 90),
    }
    peak_kw: ClassVar[float] = 10.0
    tilt_deg: ClassVar[float] = 30.0
    COARSE_STEP_S: ClassVar[float] = 60.0  # nothing here controls anything; the sun sets the pace

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self._delay_s = rng.uniform(0.0, CLOUD_DELAY_S)
        self._soiling = rng.uniform(0.93, 1.0)
        self._enabled = True
        self.limit = 100.0
        self.energy = round(rng.uniform(2_000.0, 40_000.0), 3)
        self.power = self.irradiance = self.dc_current = self.dc_voltage = 0.0
        self.module_temperature = 12.0
        self.state = "standby"

    @classmethod
    def metrics_at(cls, site: Site) -> dict[str, Metric]:
        """An inverter of another size brings other limits: of its power, and of the current that this takes."""
        if cls.peak_kw == PvInverter.peak_kw:
            return cls.METRICS
        power = replace(cls.METRICS["power"], max=float(ceil(1.2 * cls.peak_kw)))
        return {**cls.METRICS, "power": power, "dc_current": replace(cls.METRICS["dc_current"], max=4.0 * cls.peak_kw)}

    def _advance(self, now_s: float, dt: float) -> None:
        sky = self.site.at(now_s - self._delay_s)
        self.irradiance = approach(self.irradiance, self._on_the_panel(sky), dt, 6.0)
        warm = sky.temperature + WARMING * self.irradiance / (0.7 + 0.08 * sky.wind)
        self.module_temperature = approach(self.module_temperature, warm, dt, 240.0)
        wanted = self._available_kw() if self._enabled else 0.0
        before = self.power
        self.power = approach(self.power, min(wanted, self.peak_kw * self.limit / 100.0), dt, 2.0)
        # What is counted is what flowed meanwhile; a long step sees the mean of its ends.
        self.energy += 0.5 * (before + self.power) * dt / 3600.0
        self._read(wanted)

    def _on_the_panel(self, sky: Conditions) -> float:
        """Sunlight on the tilted panel: the direct part by the angle to the sun, the scattered part by the open sky."""
        if sky.sun_height <= 0.0:
            return 0.0
        tilt = self.tilt_deg / 360.0
        # The panel looks to the equator: south in the northern half of the world.
        facing = -sky.sun_north if self.site.latitude >= 0.0 else sky.sun_north
        towards = max(0.0, cosine(tilt) * sky.sun_height + sine(tilt) * facing)
        direct = sky.irradiance * (1.0 - 0.9 * sky.cloud)
        # A low sun on a tilted panel is more than on flat ground, but never more than the sun itself gives.
        beam = min(CLEAR_SKY_W, direct * towards / max(0.05, sky.sun_height))
        return beam + (sky.irradiance - direct) * 0.5 * (1.0 + cosine(tilt))

    def _available_kw(self) -> float:
        if self.irradiance < START_W:
            return 0.0
        warm = 1.0 + PER_KELVIN * (self.module_temperature - 25.0)
        return clamp(self.peak_kw * self.irradiance / 1000.0 * warm * self._soiling * EFFICIENCY, 0.0, self.peak_kw)

    def _read(self, wanted: float) -> None:
        lit = self.irradiance >= START_W
        self.dc_voltage = (
            (620.0 - 2.2 * (self.module_temperature - 25.0)) * (1.0 + 0.002 * bell(self.rng)) if lit else 0.0
        )
        self.dc_current = 1000.0 * self.power / EFFICIENCY / self.dc_voltage if lit else 0.0
        if not self._enabled:
            self.state = "off"
        elif wanted <= 0.0:
            self.state = "standby"
        else:
            self.state = "limited" if wanted > self.peak_kw * self.limit / 100.0 + 0.01 else "producing"

    def do_set_limit(self, percent: float) -> float:
        self.limit = float(percent)
        return self.limit

    def do_set_enabled(self, on: bool) -> bool:
        self._enabled = on
        return on
