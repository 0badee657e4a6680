"""A simulated plant: devices with real physics that speak MQTT like real ones. Nothing here depends on the bridge."""
