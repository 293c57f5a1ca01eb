#!/usr/bin/env python3
"""Checks that each header compiles alone: that it includes everything it uses.

    compile_headers.py ROOT COMPILER [FLAG...]
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

FOLDERS = ["core", "autograd", "layers", "models", "data", "infer", "apps"]


def compile_alone(root, header, command):
    source = f'#include "{header}"\n'
    result = subprocess.run(command, input=source, capture_output=True, text=True, cwd=root)
    return header, result.returncode, result.stderr


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    command = sys.argv[2:] + ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{root}", "-x", "c++", "-"]
    headers = ["ds.h"] + [path.relative_to(root) for folder in FOLDERS for path in sorted((root / folder).rglob("*.h"))]
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for header, status, errors in pool.map(lambda header: compile_alone(root, header, command), headers):
            if status != 0:
                failures += 1
                print(f"{header} does not compile alone:\n{errors}")
    print(f"{len(headers)} headers, {failures} do not compile alone")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
