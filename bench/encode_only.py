"""Encoding alone: flow values to OpenFlow bytes, against os-ken's construction and serialization of the same flows.

``python -m bench.encode_only [FLOWS]``.
"""

from __future__ import annotations

import sys
import time

from bench.programs import sized
from bench.results import Result
from controller.dataplane.encoder import OF13, encode_flow_add, encode_fragment
from tests.unit.dataplane import oracle

FLOWS, SAMPLE = 100_000, 4_000
BAR = "at least 80 times os-ken's rate"


def run(count: int = FLOWS) -> Result:
    """One run; os-ken does a sample of the flows, every n-th."""
    result = Result("encode_only", BAR)
    program = sized(count)
    flows = list(program.flows())
    began = time.perf_counter()
    for fragment in program.fragments.values():
        encode_fragment(fragment, OF13)
    both = len(flows) / (time.perf_counter() - began)
    began = time.perf_counter()
    encoded = [encode_flow_add(flow, OF13) for flow in flows]
    ours = len(flows) / (time.perf_counter() - began)
    step = max(1, len(flows) // SAMPLE)
    chosen = flows[::step]
    began = time.perf_counter()
    theirs_bytes = [oracle.serialized(oracle.flow_mod(flow, OF13)) for flow in chosen]
    theirs = len(chosen) / (time.perf_counter() - began)
    assert theirs_bytes == encoded[::step], "the bytes differ from os-ken's"
    result.add(f"encode {len(flows):,} flows of the pipeline", f"os-ken {theirs:,.0f}/s", f"{ours:,.0f}/s",
               f"{ours / theirs:.0f} x")  # fmt: skip
    result.add("hash and encode the same flows in one pass, as fragments", f"os-ken, encode only {theirs:,.0f}/s",
               f"{both:,.0f}/s", f"{both / theirs:.0f} x")  # fmt: skip
    result.judge(ours / theirs >= 80)
    return result


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("encode_only", run, [int(item) for item in sys.argv[1:]]))
