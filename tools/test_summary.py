#!/usr/bin/env python3
"""Prints the skipped tests of a CTest JUnit report with their reasons, the failed ones, and the summary line."""
import re
import sys
import xml.etree.ElementTree as ElementTree

MOST_NAMES = 10  # of the tests skipped for one reason


def reason(case):
    """The line that GoogleTest prints after "Skipped"; other tests say why themselves."""
    output = case.findtext("system-out") or ""
    skipped = re.search(r"Skipped\n(.+)", output)
    if skipped:
        return skipped.group(1).strip()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def main():
    passed, failed, skipped = [], [], []
    for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        if case.find("failure") is not None or case.get("status") == "fail":
            failed.append(case)
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            skipped.append(case)
        else:
            passed.append(case)
    by_reason = {}
    for case in skipped:
        by_reason.setdefault(reason(case), []).append(case.get("name"))
    for text, names in sorted(by_reason.items()):
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        print(f"skipped: {text}: {', '.join(names[:MOST_NAMES])}{more}")
    for case in failed:
        print(f"failed: {case.get('name')}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")


if __name__ == "__main__":
    main()
