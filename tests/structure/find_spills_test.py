#!/usr/bin/env python3
"""find_spills.py finds a spilled sum in an inner loop, and only there."""
import unittest

from find_spills import examine

KERNEL = """
0000000000000000 <kernel(float const*)>:
   0:\tvmovaps %ymm3,(%rsp)
   4:\tvmovups (%rsi),%ymm0
   8:\tvfmadd231ps (%rdi),%ymm0,%ymm1
   {inside}
  18:\tcmp    %rax,%rdi
  1b:\tjne    {target} <kernel(float const*)+0x4>
  1d:\t{outside}
  24:\tjne    0 <kernel(float const*)>
  26:\tret
"""


def kernel(inside="10:\tadd    $0x20,%rdi", target="4", outside="vmovups %ymm1,0x40(%rsp)"):
    return KERNEL.format(inside=inside, target=target, outside=outside)


class FindSpills(unittest.TestCase):
    def test_stores_outside_of_the_inner_loop_are_none(self):
        self.assertEqual(examine(kernel()), (1, []))

    def test_a_store_on_the_stack_inside_is_named(self):
        for spill in ("vmovaps %ymm1,0x20(%rsp)", "vmovups %zmm17,-0x40(%rbp)", "movaps %xmm1,(%rsp)",
                      "vmovaps %ymm1,0x40(%rsp,%rax,1)"):
            self.assertEqual(examine(kernel(inside="10:\t" + spill)), (1, [("kernel(float const*)", spill)]))

    def test_a_store_through_another_pointer_is_none(self):
        self.assertEqual(examine(kernel(inside="10:\tvmovups %ymm1,(%rdx)")), (1, []))

    def test_a_loop_that_adds_nothing_does_not_count(self):
        listing = kernel(inside="10:\tvmovaps %ymm1,0x20(%rsp)").replace("vfmadd231ps", "vmulps")
        self.assertEqual(examine(listing), (0, []))


if __name__ == "__main__":
    unittest.main()
