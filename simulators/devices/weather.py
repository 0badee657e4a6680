"""A weather station on a mast: sun, wind and showers that hang together, over a daily cycle."""

from __future__ import annotations

from math import sqrt
from typing import ClassVar

from simulators.chance import Chance, bell
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, boolean, number, text
from simulators.physics import approach, clamp, wander
from simulators.site import DEFAULT_SITE, Site


class WeatherStation(Device):
    __slots__ = (
        "_air",
        "_cloud",
        "_corner",
        "_offset",
        "_true_hpa",
        "_wind",
        "averaging",
        "heater",
        "humidity",
        "pressure",
        "rain",
        "sky",
        "solar",
        "temperature",
        "wind_direction",
        "wind_gust",
        "wind_speed",
    )

    KIND = "weather"
    LABEL = "Weather station"
    AREAS = ("Roof", "Yard", "Mast North")
    METRICS: ClassVar[dict[str, Metric]] = {
        "temperature": number("Temperature", "°C", -30, 50),
        "humidity": number("Humidity", "%", 0, 100),
        "pressure": number("Air pressure", "hPa", 940, 1070),
        "wind_speed": number("Wind", "m/s", 0, 40),
        "wind_gust": number("Gusts", "m/s", 0, 60),
        "wind_direction": number("Wind direction", "°", 0, 360, 0),
        "rain": number("Rain", "mm/h", 0, 100),
        "solar": number("Sunlight", "W/m²", 0, 1200, 0),
        "heater": boolean("Heater"),
        "averaging": number("Wind averaging", "s", 1, 60, 0),
        "sky": text("Sky"),
    }
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_averaging": Command(
            "Set the wind averaging",
            "A longer time gives a calmer reading.",
            {"seconds": {"type": "integer", "title": "Time (s)", "minimum": 1, "maximum": 60, "default": 3}},
        ),
        "set_heater": Command(
            "Switch the sensor heater",
            "Keeps the sensor dry; it then reads too warm and too dry.",
            {"on": {"type": "boolean", "title": "On", "default": False}},
        ),
        "calibrate_pressure": Command(
            "Calibrate the barometer",
            properties={
                "reference": {
                    "type": "number",
                    "title": "Reference (hPa)",
                    "minimum": 950,
                    "maximum": 1060,
                    "default": 1013,
                }
            },
        ),
        "reboot": REBOOT,
    }

    COARSE_STEP_S: ClassVar[float] = 60.0  # the sky sets the pace

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self._cloud = 0.4
        self._corner = rng.uniform(-0.3, 0.3)
        self._air = 14.0
        self._true_hpa = 1013.0
        self._offset = rng.uniform(-1.5, 1.5)
        self._wind = rng.uniform(2.0, 6.0)
        self.averaging = 3.0
        self.heater = False
        self.temperature = self._air
        self.humidity = 60.0
        self.pressure = self._true_hpa + self._offset
        self.wind_speed = self.wind_gust = self._wind
        self.wind_direction = rng.uniform(180.0, 300.0)
        self.rain = self.solar = 0.0
        self.sky = "fair"

    def _advance(self, now_s: float, dt: float) -> None:
        sky = self.site.at(now_s)
        self._cloud = sky.cloud
        self.rain = approach(self.rain, sky.rain, dt, 12.0)
        self.solar = approach(self.solar, sky.irradiance, dt, 4.0)
        # Every mast has its own corner of the site: a little warmer in the yard, a little cooler in the wind.
        self._corner = wander(self._corner, 0.0, dt, 240.0, 0.3, self.rng)
        self._air = sky.temperature + self._corner
        self._true_hpa = sky.pressure
        self._wind = max(0.0, wander(self._wind, sky.wind, dt, 40.0, 0.8, self.rng))
        self._blow(dt)
        self._read(dt)

    def _blow(self, dt: float) -> None:
        instant = max(0.0, self._wind * (1.0 + 0.25 * bell(self.rng)))
        self.wind_speed = approach(self.wind_speed, instant, dt, self.averaging)
        self.wind_gust = max(instant, self.wind_speed, approach(self.wind_gust, instant, dt, 30.0))
        # Light wind turns about, strong wind keeps its way.
        turn = bell(self.rng) * 4.0 / (1.0 + 0.3 * self._wind) * sqrt(dt)
        self.wind_direction = (self.wind_direction + turn) % 360.0

    def _read(self, dt: float) -> None:
        shown = self._air + (2.5 if self.heater else 0.0)
        self.temperature = approach(self.temperature, shown, dt, 12.0)
        moist = clamp(62.0 + 4.0 * self.rain - 1.8 * (self._air - 14.0), 15.0, 99.0) - (14.0 if self.heater else 0.0)
        self.humidity = approach(self.humidity, moist, dt, 12.0)
        self.pressure = self._true_hpa + self._offset
        self.sky = "rain" if self.rain > 0.3 else "cloudy" if self._cloud > 0.6 else "fair"

    def do_set_averaging(self, seconds: int) -> int:
        self.averaging = float(seconds)
        return seconds

    def do_set_heater(self, on: bool) -> bool:
        self.heater = on
        return on

    def do_calibrate_pressure(self, reference: float) -> float:
        if abs(reference - self._true_hpa) > 10.0:
            raise CommandFailed(f"{reference:g} hPa is more than 10 hPa away from the reading; is the reference right?")
        self._offset = reference - self._true_hpa
        self.pressure = float(reference)
        return self._offset
