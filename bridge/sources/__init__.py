"""Where device messages come from: an MQTT broker, or simulated devices in process."""
