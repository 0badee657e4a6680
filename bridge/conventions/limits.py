"""Bounds on what one message may hold, and why they are where they are.

They guard the bridge, the disk and the page against one mad device; no sensible device comes near them.
"""

from __future__ import annotations

import sys

# Longer topics exist only to fill memory: routes, devices and quarantine all keep the topic.
MAX_TOPIC_LENGTH = 1024
# Enough for the largest description (1,000 metrics, 200 commands) and the richest telemetry.
MAX_PAYLOAD_BYTES = 262_144
# Objects in objects: deeper names could not be read by a person anyway, and parsers recurse.
MAX_DEPTH = 16
# Values taken from one message: half of what the fleet accepts for a whole device.
MAX_VALUES = 500
# A JSON key, or an id found in a payload: becomes a label on the page and a part of a name.
MAX_KEY_LENGTH = 128
# A whole metric name, joined from nested keys: what still fits a table cell with a tooltip.
MAX_METRIC_LENGTH = 256
# A text value: states, versions and short messages fit; documents and images are not telemetry.
MAX_TEXT_LENGTH = 1024
# Numbers in a list that become a metric each (three axes, eight relays); longer lists are waveforms.
MAX_LIST_LENGTH = 16
# Rejections told for one message: the first ones show what is wrong, the rest would only flood the quarantine.
MAX_PROBLEMS = 20
# The largest number a double holds: the recent past and the browser know no other numbers.
LARGEST_NUMBER = int(sys.float_info.max)
