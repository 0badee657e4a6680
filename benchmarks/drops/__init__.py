"""What dashboards get that lose their connection for two seconds again and again. Run: python -m benchmarks.drops

Every client is connected for UP_S, away for DOWN_S, and so on, each at its own time; devices go on publishing with
QoS 1. At the end all are connected and wait until nothing more comes. Counted, for every client, from its first message
to the last one that was published: how many of them it got, how many twice, how many out of order.

    cut     the connection is reset: the server knows at once
    silent  the network is gone: the server notices nothing and goes on sending; the client comes back on a new
            connection, and the old one ends only then

Each rival comes back as its own protocol can: ws, aiohttp and Node-RED have nothing for it; Socket.IO without and with
its "connection state recovery"; mosquitto over WebSocket with QoS 0, and with QoS 1 and a persistent session.
"""
