// io.emit to everybody, as in the Socket.IO tutorial; the third argument "recovery" turns connection state recovery on.
// node socketio.js PORT MQTT_PORT [recovery]
const { createServer } = require('http')
const mqtt = require('mqtt')
const { Server } = require('socket.io')

const [port, brokerPort, recovery] = process.argv.slice(2)
const server = createServer()
const io = new Server(server, {
  perMessageDeflate: false,
  connectionStateRecovery: recovery ? { maxDisconnectionDuration: 120000 } : undefined
})
server.listen(Number(port), '127.0.0.1')

const broker = mqtt.connect(`mqtt://127.0.0.1:${brokerPort}`)
broker.on('connect', () => broker.subscribe('devices/+/telemetry', () => console.log('ready')))
broker.on('message', (topic, payload) => io.emit('telemetry', { topic, data: JSON.parse(payload) }))
