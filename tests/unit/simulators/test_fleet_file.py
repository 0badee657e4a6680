"""Fleet files: what they make, and that every mistake is one line that names the file, the table and the key."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from simulators.arguments import default_args
from simulators.devices import KINDS
from simulators.devices.device import CommandFailed
from simulators.devices.laws import LAWS
from simulators.faults.plan import make_plan
from simulators.fleet import SimulatedFleet
from simulators.fleet_file import FleetFileError, load_fleet_file, parse_fleet, shipped_fleets

START = 1_750_000_000.0
KIND = """
[[kind]]
name = "oven"
[kind.metrics.heat]
physics = "first_order"
unit = "°C"
min = 0
max = 300
target = 180
tau_s = 10
[kind.metrics.baked]
physics = "counter"
min = 0
max = 1000
precision = 0
per_hour = 3600
[kind.metrics.door]
physics = "state"
[kind.metrics.program]
physics = "state"
states = ["bread", "cake"]
mean_s = 1e9
[kind.metrics.wave]
physics = "cycle"
min = 0
max = 10
amplitude = 4
period = "week"
peak_hour = 60
[kind.commands.set_heat]
metric = "heat"
[kind.commands.clear]
metric = "baked"
[kind.commands.set_program]
metric = "program"
[kind.commands.set_door]
metric = "door"
[[devices]]
kind = "oven"
"""
ONE = '[[devices]]\nkind = "tank"\n'


@pytest.mark.parametrize("name", shipped_fleets())
def test_shipped_fleets_load_and_run(name: str) -> None:
    file = load_fleet_file(name)
    assert 20 <= len(file) <= 100
    assert file.title
    assert file.description
    fleet = SimulatedFleet(file.roster())
    assert len(fleet) == len(file)
    assert (
        len({device.who.device_id for device in fleet.devices}) == len({d.who.name for d in fleet.devices}) == len(file)
    )
    reported = set()
    for step in range(30):
        for message in fleet.advance(START + step * 1.0):
            json.loads(message.payload)
            reported.add(message.device_no)
    assert len(reported) > len(file) // 2
    for device in fleet.devices:
        check_limits(device.model.METRICS, device.model.values())
        check_commands(device.model)


def check_limits(metrics: dict, values: dict) -> None:  # type: ignore[type-arg]
    assert list(metrics) == list(values)
    for key, metric in metrics.items():
        if metric.datatype == "number":
            assert metric.min <= values[key] <= metric.max, key
            assert round(values[key], metric.precision) == values[key], key


def check_commands(model) -> None:  # type: ignore[no-untyped-def]
    for name, command in model.COMMANDS.items():
        args = default_args(command.schema)
        Draft202012Validator.check_schema(command.schema)
        Draft202012Validator(command.schema).validate(args)
        with suppress(CommandFailed):  # such as: the door is open; the arguments themselves are valid, see above
            model.execute(name, args)
        model.off_for_s = 0.0


def test_there_are_five_shipped_fleets_and_chaos_names_faults_that_exist() -> None:
    assert set(shipped_fleets()) == {"small-plant", "smart-building", "cold-chain", "solar-park", "chaos"}
    chaos = load_fleet_file("chaos")
    assert len(chaos.fault_texts) >= 20
    plan = make_plan(chaos.fault_texts, 1, chaos.fault_tables)
    assert plan is not None
    SimulatedFleet(chaos.roster(), faults=plan).advance(START)


def test_a_fleet_is_found_by_its_path_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(ONE)
    assert load_fleet_file(str(path)).name == "mine"


def test_groups_sites_areas_rates_and_labels() -> None:
    file = parse_fleet(
        "plant",
        """
        rate = 2.0
        [[site]]
        name = "A"
        latitude = 10
        longitude = 50
        [[site]]
        name = "B"
        latitude = -30
        longitude = 120
        utc_offset = 9.5
        [[devices]]
        kind = "tank"
        count = 2
        areas = ["Here", "There"]
        [[devices]]
        kind = "tank"
        site = "B"
        rate = 0.5
        label = "Big tank"
        parameters = { capacity_m3 = 80 }
        [[devices]]
        kind = "tracker"
        id = "van"
        site = "B"
        [[faults]]
        name = "stuck"
        probability = 0.5
        """,
    )
    members = file.roster("lab-")
    assert [member.who.device_id for member in members] == ["lab-tank-01", "lab-tank-02", "lab-tank-03", "lab-van-01"]
    assert [member.who.area for member in members[:2]] == ["Here", "There"]
    assert [member.interval_s for member in members] == [0.5, 0.5, 2.0, 0.5]
    assert [member.site.utc_offset_h for member in members] == [3.0, 3.0, 9.5, 9.5]
    assert members[2].who.name == "Big tank 3 · Tank farm"
    assert members[2].kind.METRICS["volume"].max == 80.0
    assert members[0].kind.METRICS["volume"].max == 2.5
    assert members[3].kind.METRICS["latitude"].min == pytest.approx(-30.2, abs=0.1)
    assert file.fault_tables == ({"name": "stuck", "probability": 0.5},)
    assert [member.interval_s for member in file.roster(rate_hz=10.0)] == [0.1] * 4
    big = SimulatedFleet(members).devices[2].model
    big.step(START, 60.0)
    assert 30.0 < big.values()["volume"] < 70.0  # type: ignore[operator]


def test_a_metric_in_another_unit_is_converted_with_its_limits() -> None:
    file = parse_fleet(
        "us",
        ONE.replace("tank", "thermostat")
        + '[devices.metrics.temperature]\nunit = "°F"\nname = "Room"\nscale = 1.8\noffset = 32\nprecision = 0\n',
    )
    metric = file.groups[0].kind.METRICS["temperature"]
    assert (metric.name, metric.unit, metric.min, metric.max, metric.precision) == ("Room", "°F", 32.0, 104.0, 0)
    model = SimulatedFleet(file.roster()).devices[0].model
    assert model.values()["temperature"] == round(model.temperature * 1.8 + 32.0)  # type: ignore[attr-defined]


def test_a_kind_from_data_alone_moves_and_obeys() -> None:
    fleet = SimulatedFleet(parse_fleet("bakery", KIND).roster())
    device = fleet.devices[0]
    model = device.model
    assert (model.KIND, model.LABEL, device.who.device_id) == ("oven", "Oven", "oven-01")
    assert model.METRICS["heat"].name == "Heat"
    assert set(model.COMMANDS) == {"set_heat", "clear", "set_program", "set_door", "reboot"}
    model.execute("set_heat", {"value": 250})
    seen = []
    for step in range(60):
        model.step(START + step, 1.0)
        check_limits(model.METRICS, model.values())
        seen.append(model.values())
    assert seen[9]["heat"] == pytest.approx(180 + 70 * 0.632, abs=1.5)
    assert seen[-1]["heat"] == pytest.approx(250, abs=1)
    assert seen[-1]["baked"] == pytest.approx(60, abs=8)
    assert model.execute("clear", {}) == 0.0
    assert model.values()["baked"] == 0
    for program in ("cake", "bread"):
        model.execute("set_program", {"value": program})
        assert model.values()["program"] == program
    model.execute("set_door", {"value": True})
    assert model.values()["door"] is True
    with pytest.raises(CommandFailed, match="must be one of bread, cake"):
        model.execute("set_program", {"value": "soup"})
    with pytest.raises(CommandFailed, match="at most 300"):
        model.execute("set_heat", {"value": 301})
    assert not hasattr(model, "__dict__")
    wednesday_noon = 1_750_248_000.0 - 3600.0  # local time of the default site
    model.step(wednesday_noon, 1.0)
    assert model.values()["wave"] == pytest.approx(9.0, abs=0.1)
    model.step(wednesday_noon + 3.5 * 86_400.0, 1.0)
    assert model.values()["wave"] == pytest.approx(1.0, abs=0.1)


def metric(**lines: str) -> str:
    """The bakery with one metric in place of all."""
    body = "\n".join(f"{key} = {value}" for key, value in lines.items())
    return f'[[kind]]\nname = "oven"\n[kind.metrics.heat]\n{body}\n[[devices]]\nkind = "oven"\n'


BAD = {
    "no devices": ("", r"^plant: \[\[devices\]\]: 0 devices; a fleet has 1 to 100,000$"),
    "not TOML": ("[[devices", r"^plant: not TOML: "),
    "unknown key at the top": (ONE + "[extra]\n", r"plant: there is no key 'extra' here"),
    "misspelt key at the top": ('titel = "x"\n' + ONE, r"'titel' here; did you mean 'title'\?"),
    "unknown key of a group": (ONE + "cuont = 3\n", r"\[\[devices\]\] 1 \(tank\): there is no key 'cuont'.*'count'"),
    "kind missing": ("[[devices]]\ncount = 3\n", r"\[\[devices\]\] 1: kind is missing"),
    "unknown kind": ('[[devices]]\nkind = "pmup"\n', r"kind: there is no 'pmup'; did you mean 'pump'\?"),
    "count a text": (ONE + 'count = "3"\n', r"\(tank\): count must be a whole number from 1 to 100000, not '3'"),
    "count a fraction": (ONE + "count = 1.5\n", "count must be a whole number"),
    "count true": (ONE + "count = true\n", "count must be a whole number"),
    "count zero": (ONE + "count = 0\n", "count must be a whole number"),
    "too many": ((ONE + "count = 60000\n") * 2, r"120,000 devices"),
    "rate zero": (ONE + "rate = 0\n", "rate must be from 0.0001 to 100, not 0"),
    "rate not finite": (ONE + "rate = nan\n", "rate must be a number, not nan"),
    "rate at the top": ("rate = -1\n" + ONE, "plant: rate must be from"),
    "unknown site": (ONE + 'site = "Mars"\n', r"site: there is no 'Mars'; there are Hamburg"),
    "site without a place": ('[[site]]\nname = "A"\n' + ONE, r"\[\[site\]\] 1 \(A\): latitude is missing"),
    "site beyond the pole": (
        '[[site]]\nname = "A"\nlatitude = 95\nlongitude = 0\n' + ONE,
        "latitude must be from -85 to 85, not 95",
    ),
    "site twice": ('[[site]]\nname = "A"\nlatitude = 1\nlongitude = 0\n' * 2 + ONE, "a site of this name already"),
    "site key": ('[[site]]\nname = "A"\nlatitude = 1\nlongitude = 0\ntz = 3\n' + ONE, "no key 'tz' here"),
    "areas a text": (ONE + 'areas = "Hall"\n', "areas must be a list of texts, not 'Hall'"),
    "id with a slash": (ONE + 'id = "a/b"\n', "id: 'a/b' must be letters"),
    "label of two lines": (ONE + 'label = "a\\nb"\n', "label must be a line of text"),
    "unknown parameter": (
        ONE + "parameters = { capacity = 3 }\n",
        r"\[\[devices\]\] 1 \(tank\) parameters: there is no parameter 'capacity'; did you mean 'capacity_m3'\?",
    ),
    "parameter too large": (ONE + "parameters = { capacity_m3 = 1e9 }\n", r"capacity_m3 must be from 0\.5 to 100"),
    "parameter of a kind without": (
        '[[devices]]\nkind = "weather"\nparameters = { x = 1 }\n',
        "'x'; a weather has none",
    ),
    "parameters no table": (ONE + "parameters = 3\n", "parameters must be a table, not 3"),
    "unknown metric": (ONE + '[devices.metrics.levle]\nunit = "m"\n', r"metrics levle: .*did you mean 'level'\?"),
    "unit of a state": (ONE + '[devices.metrics.state]\nunit = "m"\n', "metrics state: there is no key 'unit' here"),
    "metric limits": (ONE + "[devices.metrics.level]\nmin = 50\nmax = 10\n", "metrics level: max 10 must be above"),
    "metric limit beyond the other": (ONE + "[devices.metrics.level]\nmin = 500\n", "max 100 must be above min 500"),
    "scale zero": (ONE + "[devices.metrics.level]\nscale = 0\n", "scale must not be 0"),
    "precision": (ONE + "[devices.metrics.level]\nprecision = 1.5\n", "precision must be a whole number from 0 to 9"),
    "devices a table": ('[devices]\nkind = "tank"\n', r"devices must be written as \[\[devices\]\]"),
    "faults a text": ('faults = "stuck"\n' + ONE, "faults must be a list of texts such as"),
    "kind that exists": ('[[kind]]\nname = "tank"\n' + ONE, "there is a kind 'tank' already"),
    "kind name": ('[[kind]]\nname = "a b"\n' + ONE, "name: 'a b' is no name"),
    "kind without metrics": ('[[kind]]\nname = "oven"\n' + ONE, "metrics: a kind has 1 to 200 of them, not 0"),
    "metric name": ('[[kind]]\nname = "oven"\n[kind.metrics."a b"]\nmin = 0\n' + ONE, "'a b' is no name"),
    "metric called time": (KIND.replace("metrics.wave", "metrics.time"), "time has a meaning of its own"),
    "physics missing": (metric(min="0", max="1"), r"\(oven\) metrics heat: physics is missing"),
    "unknown physics": (metric(physics='"magic"', min="0", max="1"), "no 'magic'; there are first_order, random_walk"),
    "range missing": (metric(physics='"cycle"', min="0"), "heat: max is missing"),
    "range upside down": (metric(physics='"cycle"', min="5", max="5"), "max must be above min, which is 5"),
    "start outside": (metric(physics='"cycle"', min="0", max="5", start="9"), "target must be from 0 to 5, not 9"),
    "counter without a rate": (metric(physics='"counter"', min="0", max="5"), "per_hour is missing"),
    "one state": (metric(physics='"state"', states='["a"]'), "two or more texts"),
    "key of other physics": (metric(physics='"state"', tau_s="3"), "no key 'tau_s' here"),
    "follows": (metric(physics='"cycle"', min="0", max="5", follows='"moon"'), "follows: there is no 'moon'"),
    "period": (metric(physics='"cycle"', min="0", max="5", period='"year"'), "there is no 'year'"),
    "command without a metric": (KIND + "[[kind]]\n", "name is missing"),
    "command of nothing": (KIND.replace('metric = "heat"', 'metric = "cold"'), r"set_heat: metric: there is no 'cold'"),
    "reboot again": (KIND.replace("commands.clear", "commands.reboot"), "every kind has this command already"),
    "command limits": (KIND.replace('metric = "heat"', 'metric = "heat"\nmax = 999'), "max must be from 0 to 300"),
}


@pytest.mark.parametrize(("text", "complaint"), BAD.values(), ids=list(BAD))
def test_mistakes_are_named(text: str, complaint: str) -> None:
    with pytest.raises(FleetFileError, match=complaint) as caught:
        parse_fleet("plant", text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("plant: ")
    assert len(str(caught.value)) < 400


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(FleetFileError, match=r"no fleet 'cold-chian'; did you mean 'cold-chain'\?"):
        load_fleet_file("cold-chian")
    with pytest.raises(FleetFileError, match=r"nowhere\.toml: No such file"):
        load_fleet_file(str(tmp_path / "nowhere.toml"))
    with pytest.raises(FleetFileError, match=r"directory|denied"):
        load_fleet_file(f"{tmp_path}/")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FleetFileError, match="not text in UTF-8"):
        load_fleet_file(str(binary))
    binary.write_bytes(b"#" * 1_000_001)
    with pytest.raises(FleetFileError, match="is this a fleet file"):
        load_fleet_file(str(binary))


def test_a_prefix_that_makes_no_ids_is_refused() -> None:
    with pytest.raises(ValueError, match="not a device id"):
        parse_fleet("plant", ONE).roster("a b")


def test_the_documentation_tells_every_kind_law_and_fleet() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "simulate.md").read_text()
    for name, kind in KINDS.items():
        row = re.search(rf"^\| `{name}` \|(.*)\|(.*)\|$", text, re.MULTILINE)
        assert row is not None, name
        assert set(re.findall(r"`(\w+)`", row[1])) == set(kind.PARAMETERS)
        assert set(re.findall(r"`(\w+)`", row[2])) == set(kind.COMMANDS) - {"reboot"}
    for name in (*LAWS, *shipped_fleets()):
        assert f"| `{name}` |" in text
    example = re.search(r"```toml\n(title.*?)```", text, re.DOTALL)
    assert example is not None
    assert len(parse_fleet("example", example[1])) == 3
