"""What moves between routers, clusters and the host."""

from amaranth.lib import data

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import ADDRESS_BITS, UNIT_BITS

__all__ = ["flit_layout"]


def flit_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One flit: destinations (clusters, then the host), unit, address, payload."""
    return data.StructLayout(
        {
            "destinations": config.clusters + 1,
            "unit": UNIT_BITS,
            "address": ADDRESS_BITS,
            "payload": config.flit_bits,
        }
    )
