"""A digital compute-in-memory macro for spiking networks, after FlexSpIM. ``docs/flexspim.md`` is its contract."""
