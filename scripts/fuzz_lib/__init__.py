"""Random programs on every back end; what differs is shrunk. Run it with `scripts/fuzz`."""
