// The broadcast of the ws documentation: a set of clients, JSON.stringify once, send to each that is open.
// node ws.js PORT MQTT_PORT
const mqtt = require('mqtt')
const { WebSocket, WebSocketServer } = require('ws')

const [port, brokerPort] = process.argv.slice(2)
const wss = new WebSocketServer({ host: '127.0.0.1', port: Number(port), perMessageDeflate: false })
const clients = new Set()

wss.on('connection', (client) => {
  clients.add(client)
  client.on('close', () => clients.delete(client))
  client.on('error', () => clients.delete(client))
})

const broker = mqtt.connect(`mqtt://127.0.0.1:${brokerPort}`)
broker.on('connect', () => broker.subscribe('devices/+/telemetry', () => console.log('ready')))
broker.on('message', (topic, payload) => {
  const text = JSON.stringify({ topic, data: JSON.parse(payload) })
  for (const client of clients) {
    if (client.readyState === WebSocket.OPEN) client.send(text)
  }
})
