"""Writes tests/contract/frames.json: golden vectors of the binary frame, made without the codec under test.

Run it only when docs/protocol.md changes the layout: python tests/contract/make_frames.py
"""

import json
import struct
from pathlib import Path

NAN = float("nan")

CASES = [
    # name, kind, offset, channel_no, base_time_us, server_time_us, [(series_id, dt_us, value), ...]
    ("empty", 1, 1, 1, 0, 1_767_225_600_000_000, []),
    ("one reading", 1, 7, 2, 1_767_225_600_000_000, 1_767_225_600_001_500, [(3, 0, 21.5)]),
    (
        "booleans, texts and no value",
        1,
        2**40 + 1,
        3,
        1_767_225_600_123_456,
        1_767_225_600_200_000,
        [(0, 0, 1.0), (1, 1, 0.0), (2, 999, 4.0), (3, 1000, NAN)],
    ),
    ("not in order of time", 1, 8, 2, 1_767_225_600_000_000, 1_767_225_601_000_000, [(5, 500, -1.25), (5, 0, 1e300)]),
    ("widest span", 1, 9, 2, 1_767_225_600_000_000, 1_767_229_900_000_000, [(1, 0, 0.1), (1, 2**32 - 1, 0.2)]),
    ("recent past", 2, 0, 1, 1_767_225_000_000_000, 1_767_225_600_000_000, [(2**32 - 1, 42, 2.0**53)]),
    ("before 1970", 1, 10, 2, -1_000_000, 5, [(1, 3, -0.0)]),
]


def main() -> None:
    vectors = []
    for name, kind, offset, channel_no, base, server, readings in CASES:
        data = struct.pack("<BBHIQqqII", kind, 1, 0, len(readings), offset, base, server, channel_no, 0)
        data += b"".join(struct.pack("<d", value) for _, _, value in readings)
        data += b"".join(struct.pack("<I", series_id) for series_id, _, _ in readings)
        data += b"".join(struct.pack("<I", dt_us) for _, dt_us, _ in readings)
        vectors.append(
            {
                "name": name,
                "hex": data.hex(),
                "kind": kind,
                "offset": offset,
                "channel_no": channel_no,
                "base_time_us": base,
                "server_time_us": server,
                "series_ids": [series_id for series_id, _, _ in readings],
                "times_us": [base + dt_us for _, dt_us, _ in readings],
                "values": [None if value != value else value for _, _, value in readings],
            }
        )
    path = Path(__file__).with_name("frames.json")
    path.write_text(json.dumps({"vectors": vectors}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
