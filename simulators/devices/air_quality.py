"""The air of a room that people breathe in: open the damper and watch the CO2 fall."""

from __future__ import annotations

from typing import ClassVar

from simulators.chance import Chance, bell
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, Parameter, boolean, number, text
from simulators.physics import approach, clamp, count_of, decay, wander
from simulators.site import DEFAULT_SITE, Conditions, Site

OUTDOOR_PPM = 420.0
FULL_EXCHANGE_S = 25.0  # time constant of the room's air with the damper fully open
LEAK_S = 400.0  # and with it shut: no room is tight
PPM_S_PER_PERSON = 0.35
CALIBRATE_BELOW_PPM = 600.0


# People come and go one by one: so often somebody may, and the room fills and empties this slowly.
COME_AND_GO_S = 25.0
FILLING_S = 900.0


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
    PARAMETERS: ClassVar[dict[str, Parameter]] = {"mean_people": Parameter("People on a working day", 0, 25)}
    mean_people: ClassVar[float] = 8.0
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

    COARSE_STEP_S: ClassVar[float] = 60.0  # the air of a room is exact for any step, and people are in no hurry

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self._mean_people = rng.uniform(0.5, 1.5) * self.mean_people
        self.people = int(0.5 * self._mean_people)
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
        conditions = self.site.at(now_s)
        self._come_and_go(self._mean_people * conditions.activity, dt)
        self.ventilation = approach(self.ventilation, self.ventilation_setpoint, dt, 3.0)
        tau = 1.0 / self._exchange()
        self._true_ppm = approach(self._true_ppm, OUTDOOR_PPM + PPM_S_PER_PERSON * self.people * tau, dt, tau)
        self._dust = max(0.5, wander(self._dust, 9.0 + 6.0 * conditions.activity, dt, 900.0, 3.0, rng))
        self.pm25 = approach(self.pm25, self._dust + 0.02 * self.people * tau, dt, tau)
        self.voc = approach(self.voc, 60.0 + 0.2 * self.people * tau, dt, tau)
        self.temperature = wander(self.temperature, self._indoors(conditions), dt, 120.0, 0.1, rng)
        self.humidity = wander(self.humidity, clamp(38.0 + 0.012 * self.people * tau, 0, 70), dt, 120.0, 0.5, rng)
        self._read()

    def _come_and_go(self, expected: float, dt: float) -> None:
        """Towards as many people as the hour suggests, with a coming and going that never ends."""
        drift = (expected - self.people) * (1.0 - decay(dt / FILLING_S))
        moves = dt / COME_AND_GO_S
        # As many come as go when the room holds what is expected; an empty room sees nobody leave.
        coming = count_of(0.15 * moves * min(1.0, expected / 4.0) + max(0.0, drift), self.rng)
        going = count_of(0.15 * moves * min(1.0, self.people / 4.0) + max(0.0, -drift), self.rng)
        self.people = max(0, min(40, self.people + coming - going))

    def _read(self) -> None:
        self.co2 = self._true_ppm + self._drift + 2.0 * bell(self.rng)
        self.occupied = self.people > 0
        self.rating = "good" if self.co2 < 800.0 else "fair" if self.co2 < 1200.0 else "poor"

    def _indoors(self, conditions: Conditions) -> float:
        """People and the sun warm a room; fresh air brings the outdoors in."""
        fresh = 0.0012 * self.ventilation * (conditions.temperature - 20.0)
        return clamp(20.5 + 0.12 * self.people + conditions.irradiance / 500.0 + fresh, 12.0, 34.0)

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
