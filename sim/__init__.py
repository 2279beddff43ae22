"""Simulators and the host: runner, drivers, importers, mapper, engines, reports, command line."""
