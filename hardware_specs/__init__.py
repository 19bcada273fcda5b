"""Hardware data with provenance (package ``simulator.hardware_specs``)."""
