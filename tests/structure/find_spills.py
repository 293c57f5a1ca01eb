#!/usr/bin/env python3
"""Finds spilled accumulators: vector registers stored on the stack inside the inner loops of compiled kernels.

    find_spills.py OBJECT...

An inner loop is a backward jump with no other backward jump between its ends; only loops that multiply and add vectors
count. g++ spills such loops easily (an array of sums whose loops are not all unrolled is enough), and a kernel that
spills runs at a fraction of its speed while it still computes the right thing. Exit code 1 when there are any, or when
an object has no such loop at all. Needs objdump; x86-64.
"""
import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*)$")
JUMP = re.compile(r"^j[a-z]+\s+([0-9a-f]+)\b")
ACCUMULATE = re.compile(r"^(vfn?m(add|sub)\d+p[sd]|v?addp[sd]|v?dpbf16ps|vpdpbusd|vpdpwssd|vpmaddwd)\s")
SPILL = re.compile(r"^v?mov[a-z0-9]*\s+%[xyz]mm\d+,-?(0x[0-9a-f]+)?\(%r[sb]p[,)]")


def functions(disassembly):
    """Yields (name, [(address, text)]) for each function of objdump's listing."""
    name, body = None, []
    for line in disassembly.splitlines():
        if head := FUNCTION.match(line):
            if body:
                yield name, body
            name, body = head[1], []
        elif instruction := INSTRUCTION.match(line):
            body.append((int(instruction[1], 16), instruction[2].split("#")[0].strip()))
    if body:
        yield name, body


def inner_loops(body):
    """Yields the instructions of each innermost loop."""
    starts = {address: index for index, (address, _) in enumerate(body)}
    loops = []
    for index, (address, text) in enumerate(body):
        jump = JUMP.match(text)
        if jump and int(jump[1], 16) <= address and int(jump[1], 16) in starts:
            loops.append((starts[int(jump[1], 16)], index))
    for first, last in loops:
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in loops):
            yield [text for _, text in body[first:last + 1]]


def examine(disassembly):
    """Returns the number of accumulating inner loops and a list of (function, spilling instruction)."""
    count, spills = 0, []
    for name, body in functions(disassembly):
        for loop in inner_loops(body):
            if not any(ACCUMULATE.match(text) for text in loop):
                continue
            count += 1
            spills += [(name, text) for text in loop if SPILL.match(text)]
    return count, spills


def main(objects):
    failed = not objects
    for path in objects:
        listing = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", path], check=True, capture_output=True,
                                 text=True).stdout
        loops, spills = examine(listing)
        for name, text in spills:
            print(f"{path}: {name}: {text}")
        print(f"{path}: {loops} inner loops, {len(spills)} spills")
        failed = failed or loops == 0 or bool(spills)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
