#!/usr/bin/env python3
"""Tests tools/test_summary.py on a report as CTest writes it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).parents[2] / "tools" / "test_summary.py"

REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="(empty)" tests="4" failures="1" disabled="0" skipped="1" hostname="" time="0">
  <testcase name="Shape.Numel" classname="Shape.Numel" time="0.1" status="run"><system-out>ok</system-out></testcase>
  <testcase name="Shape.Axis" classname="Shape.Axis" time="0.1" status="run"><system-out>ok</system-out></testcase>
  <testcase name="Cifar.Reads" classname="Cifar.Reads" time="0.1" status="notrun">
    <skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
    <system-out>cifar_test.cpp:12: Skipped
needs cifar-10-batches-bin

[  SKIPPED ] Cifar.Reads (0 ms)</system-out>
  </testcase>
  <testcase name="Tape.Replays" classname="Tape.Replays" time="0.1" status="fail">
    <failure message="Failed"/><system-out>no</system-out>
  </testcase>
</testsuite>
"""


class TestSummaryTest(unittest.TestCase):
    def test_counts_and_reasons(self):
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder, "junit.xml")
            report.write_text(REPORT)
            lines = subprocess.run([sys.executable, SCRIPT, report], capture_output=True, text=True,
                                   check=True).stdout.splitlines()
        self.assertEqual(lines, ["skipped: needs cifar-10-batches-bin: Cifar.Reads", "failed: Tape.Replays",
                                 "2 passed, 1 failed, 1 skipped"])


if __name__ == "__main__":
    unittest.main()
