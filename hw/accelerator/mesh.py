"""The mesh: one router for each cluster, joined to its neighbours, and the host at the north of the first.

::

    host_in --> [router 0] <--> [router 1] <--> ..      cluster_in_c --> local input of router c
    host_out <--    ^               ^                   cluster_out_c <-- local output of router c
                    v               v
              [router width] <--> ..
"""

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.layouts import flit_layout
from hw.accelerator.router import PORTS, Router
from hw.component import Component

__all__ = ["Mesh"]


class Mesh(Component):
    """Routers of a whole accelerator.

    **Latency**: a flit that is taken in cycle t is offered at a destination ``hops`` routers further in t + 1 + hops,
    where nothing else moves. **Throughput**: one flit a cycle on each link.

    Parameters
    ----------
    config : sizes.

    Members
    -------
    host_in, host_out : streams of flits from and to the host.
    cluster_in_0, cluster_out_0, .. : streams of flits from and to each cluster.
    empty : no flit waits in any router.
    moved_0, stalled_0, .. : counters' outputs of each router, see :class:`~hw.accelerator.router.Router`.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        flits = stream.Signature(flit_layout(config))
        clusters = range(config.clusters)
        super().__init__(
            {
                "host_in": In(flits),
                "host_out": Out(flits),
                **{f"cluster_in_{cluster}": In(flits) for cluster in clusters},
                **{f"cluster_out_{cluster}": Out(flits) for cluster in clusters},
                "empty": Out(1),
                **{f"moved_{cluster}": Out(len(PORTS)) for cluster in clusters},
                **{f"stalled_{cluster}": Out(len(PORTS)) for cluster in clusters},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        routers = [Router(config) for _ in range(config.clusters)]
        for cluster, router in enumerate(routers):
            m.submodules[f"router_{cluster}"] = router
        m.d.comb += self.empty.eq(Cat(router.empty for router in routers).all())

        # Neighbours in a row and in a column; what is left open at the border has no flit and takes none.
        for cluster, router in enumerate(routers):
            row, column = divmod(cluster, config.width)
            m.d.comb += [router.column.eq(column), router.row.eq(row)]
            if column + 1 < config.width:
                _join(m, router, "east", routers[cluster + 1], "west")
            if row + 1 < config.height:
                _join(m, router, "south", routers[cluster + config.width], "north")

        # The outside.
        _forward(m, self.host_in, routers[0].north_in)
        _forward(m, routers[0].north_out, self.host_out)
        for cluster, router in enumerate(routers):
            _forward(m, getattr(self, f"cluster_in_{cluster}"), router.local_in)
            _forward(m, router.local_out, getattr(self, f"cluster_out_{cluster}"))
            m.d.comb += [
                getattr(self, f"moved_{cluster}").eq(router.moved),
                getattr(self, f"stalled_{cluster}").eq(router.stalled),
            ]
        return m


def _join(m: Module, one: Any, side: str, other: Any, opposite: str) -> None:
    """Both ways between two neighbours."""
    _forward(m, getattr(one, f"{side}_out"), getattr(other, f"{opposite}_in"))
    _forward(m, getattr(other, f"{opposite}_out"), getattr(one, f"{side}_in"))


def _forward(m: Module, source: stream.Interface, sink: stream.Interface) -> None:
    """One way."""
    m.d.comb += [
        sink.payload.eq(source.payload),
        sink.valid.eq(source.valid),
        source.ready.eq(sink.ready),
    ]
