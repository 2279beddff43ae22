"""The accelerator: clusters of tiles on a mesh, with one host port. ``docs/accelerator.md`` is its contract."""
