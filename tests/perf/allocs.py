"""What Weir asks of the heap, per request and per connection: counted by perf/count_allocs.so in the running node proxies."""
import os
import struct

import stage
import systems

FORMAT = struct.Struct("QQq2048q")
BASE = f"{stage.RUN}/allocs"


class Counts:
    def __init__(self, allocated=0, freed=0, size=0, live=(0,) * 2048):
        self.allocated, self.freed, self.size, self.live = allocated, freed, size, live

    def __sub__(self, other):
        return Counts(self.allocated - other.allocated, self.freed - other.freed, self.size - other.size, [a - b for a, b in zip(self.live, other.live)])


def begin():
    """Weir's processes are made anew, with the preload, when they are asked for next."""
    systems.forget_weir()
    systems.weir_prefix[:] = ["env", f"LD_PRELOAD={systems.BUILD}/perf/count_allocs.so", f"WEIR_ALLOCS={BASE}"]


def of(tree):
    """The sum over the processes of a tree."""
    total = Counts()
    for pid in tree:
        with open(f"{BASE}.{pid}", "rb") as f:
            allocated, freed, size, *live = FORMAT.unpack(f.read(FORMAT.size))
        total = Counts(total.allocated + allocated, total.freed + freed, total.size + size, [a + b for a, b in zip(total.live, live)])
    return total


def grown(counts, n, least):
    """The block sizes of which there are at least so many more, per each of n: "64 x2.00, 1304 x1.00"."""
    return ", ".join(f"{i * 16 + 8} x{c / n:.2f}" for i, c in enumerate(counts.live) if c >= least)
