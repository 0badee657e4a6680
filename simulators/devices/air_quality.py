"""The air of a room that people breathe in: open the damper and watch the CO2 fall."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, boolean, number, text
from simulators.physics import approach, clamp, daily, happens, wander

OUTDOOR_PPM = 420.0
FULL_EXCHANGE_S = 25.0  # time constant of the room's air with the damper fully open
LEAK_S = 400.0  # and with it shut: no room is tight
PPM_S_PER_PERSON = 0.35
CALIBRATE_BELOW_PPM = 600.0


class AirQuality(Device):
    __slots__ = (
        "_drift",
        "_dust",
        "_mean_people",
        "_true_ppm",
        "co2",
        "humidity",
        "occupied",
        "people",
        "pm25",
        "rating",
        "temperature",
        "ventilation",
        "ventilation_setpoint",
        "voc",
    )

    KIND = "air-quality"
    LABEL = "Air sensor"
    AREAS = ("Meeting room", "Office 1", "Office 2", "Canteen", "Workshop")
    METRICS: ClassVar[dict[str, Metric]] = {
        "co2": number("CO₂", "ppm", 350, 5000, 0),
        "pm25": number("Fine dust", "µg/m³", 0, 500),
        "voc": number("Volatile organics", "ppb", 0, 5000, 0),
        "temperature": number("Temperature", "°C", 0, 45),
        "humidity": number("Humidity", "%", 0, 100),
        "people": number("People", "", 0, 40, 0),
        "occupied": boolean("Occupied"),
        "ventilation": number("Ventilation", "%", 0, 100, 0),
        "rating": text("Rating"),
    }
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_ventilation": Command(
            "Set the ventilation",
            "Fully open renews the air within half a minute.",
            {"percent": {"type": "number", "title": "Damper (%)", "minimum": 0, "maximum": 100, "default": 60}},
        ),
        "calibrate": Command(
            "Calibrate the CO₂ sensor",
            "Needs fresh air in the room.",
            {
                "reference": {
                    "type": "integer",
                    "title": "Reference (ppm)",
                    "minimum": 400,
                    "maximum": 600,
                    "default": 420,
                }
            },
        ),
        "reboot": REBOOT,
    }

    def __init__(self, rng: Random, interval_s: float = 1.0) -> None:
        super().__init__(rng, interval_s)
        self._mean_people = rng.uniform(4.0, 12.0)
        self.people = int(self._mean_people)
        self.ventilation = self.ventilation_setpoint = float(rng.randrange(15, 36, 5))
        self._true_ppm = OUTDOOR_PPM + PPM_S_PER_PERSON * self.people / self._exchange()
        self._drift = rng.uniform(-20.0, 20.0)
        self._dust = rng.uniform(8.0, 16.0)
        self.pm25 = self._dust
        self.voc = 120.0
        self.temperature = 21.5
        self.humidity = 45.0
        self._read()

    def _exchange(self) -> float:
        """How much of the air is renewed in a second."""
        return self.ventilation / 100.0 / FULL_EXCHANGE_S + 1.0 / LEAK_S

    def _advance(self, now_s: float, dt: float) -> None:
        rng = self.rng
        busy = self._mean_people * (0.65 + 0.35 * daily(now_s, 13.0))
        if happens(dt, 20.0, rng):
            self.people = max(0, min(40, self.people + (1 if rng.random() * 2.0 * busy > self.people else -1)))
        self.ventilation = approach(self.ventilation, self.ventilation_setpoint, dt, 3.0)
        tau = 1.0 / self._exchange()
        self._true_ppm = approach(self._true_ppm, OUTDOOR_PPM + PPM_S_PER_PERSON * self.people * tau, dt, tau)
        self._dust = max(0.5, wander(self._dust, 12.0, dt, 900.0, 3.0, rng))
        self.pm25 = approach(self.pm25, self._dust + 0.02 * self.people * tau, dt, tau)
        self.voc = approach(self.voc, 60.0 + 0.2 * self.people * tau, dt, tau)
        self.temperature = wander(self.temperature, 20.5 + 0.12 * self.people, dt, 120.0, 0.1, rng)
        self.humidity = wander(self.humidity, clamp(38.0 + 0.012 * self.people * tau, 0, 70), dt, 120.0, 0.5, rng)
        self._read()

    def _read(self) -> None:
        self.co2 = self._true_ppm + self._drift + self.rng.gauss(0.0, 2.0)
        self.occupied = self.people > 0
        self.rating = "good" if self.co2 < 800.0 else "fair" if self.co2 < 1200.0 else "poor"

    def do_set_ventilation(self, percent: float) -> float:
        self.ventilation_setpoint = float(percent)
        return self.ventilation_setpoint

    def do_calibrate(self, reference: int) -> int:
        if self._true_ppm > CALIBRATE_BELOW_PPM:
            raise CommandFailed(
                f"the air is at {self._true_ppm:.0f} ppm; ventilate until it is below {CALIBRATE_BELOW_PPM:.0f} ppm"
            )
        self._drift = reference - self._true_ppm
        return reference
