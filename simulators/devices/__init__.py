"""The kinds of device that exist, in the order in which a fleet introduces them. One more is one file and one line."""

from __future__ import annotations

from simulators.devices.air_quality import AirQuality
from simulators.devices.battery import Battery
from simulators.devices.cold_storage import ColdStorage
from simulators.devices.device import Device
from simulators.devices.door_counter import DoorCounter
from simulators.devices.power_meter import PowerMeter
from simulators.devices.pump import Pump
from simulators.devices.pv_inverter import PvInverter
from simulators.devices.tank import Tank
from simulators.devices.thermostat import Thermostat
from simulators.devices.tracker import Tracker
from simulators.devices.weather import WeatherStation

# The plant that `simulate` shows without a fleet file. The weight says how common a kind is: of fifty devices ten are
# thermostats and three are weather stations.
WEIGHTS: dict[type[Device], int] = {
    Thermostat: 10,
    Pump: 9,
    PowerMeter: 8,
    WeatherStation: 3,
    AirQuality: 7,
    Tracker: 4,
    Tank: 5,
    ColdStorage: 4,
}
# There when they are asked for, with --kinds or in a fleet file.
MORE_KINDS: tuple[type[Device], ...] = (PvInverter, Battery, DoorCounter)

KINDS: dict[str, type[Device]] = {device.KIND: device for device in (*WEIGHTS, *MORE_KINDS)}
