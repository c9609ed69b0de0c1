"""HTTP: addresses for devices, and the one port all is served on."""
