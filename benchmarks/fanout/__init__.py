"""What delivery to dashboards costs, beside the rivals, on one machine and in one run. Run: python -m benchmarks.fanout

The way of a message is the same for all: a process that plays 50 devices publishes JSON with five values to a mosquitto
(QoS 0); the server takes it from there and hands it to every dashboard over a WebSocket. Mosquitto as a rival is itself
the server, with MQTT clients on its own WebSocket listener. Every server is started anew for every case.

    CPU in all  everything the server spends in the window (ingest from MQTT included), for each message delivered to a
                dashboard
    fan-out     the same, less what it spends with a single dashboard: what the further dashboards cost, for each of
                their messages
    latency     from before the device's `send` to after the dashboard's `recv`, of eight dashboards spread over all
    memory      what the server's own memory (USS) grew by from the first dashboard that joined to the last, for each

A message delivered to Fleetwire's `log` channel is one with all its five values. Every byte that every dashboard
received is checked (`stream.py`): numbers, order, and the values, which follow from the number.

    held      every dashboard got every message of the whole run, once, in order, intact, and p99 stayed within 500 ms
    not held  anything else; of a rate that a server does not hold, no cost is told
    invalid   the dashboards' process or the devices were at their own limit, or other programs used the machine: the
              case says nothing about the server

A case that was not held although the server was far from using a core is run once more, and the second run counts: a
hiccup of the machine disqualifies nobody.

How the rivals are set, so that they are at their best:

- ws, Socket.IO: the broadcast of their documentation, `JSON.stringify` once for all; `perMessageDeflate` off; MQTT from
  the `mqtt` package; NODE_ENV=production. Socket.IO's clients go straight to WebSocket, without polling first.
- Node-RED: `mqtt in` (JSON parsed, its default) to `websocket out` (payload only, so it writes less than the others);
  no editor, no telemetry, no other node.
- mosquitto: nothing persistent, no limit to its queues and connections, `set_tcp_nodelay`, next to nothing logged.
- aiohttp: uvloop, no compression, no heartbeat, paho in its own thread.
- Fleetwire: as it comes, but for the limits on the number of dashboards of one address.

Nobody is bound to a core: server, broker, devices and dashboards share the machine, and what each of them used is in
the JSON file.
"""
