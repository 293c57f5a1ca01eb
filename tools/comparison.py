"""What the comparisons with other programs share: pinned runs, and the name of the machine."""
import os
import pathlib
import platform
import subprocess
import sys


def run_pinned(processors, command, **environment):
    """Standard output of a program that may use these processors alone; leaves with its errors when it fails."""
    command = ["taskset", "--cpu-list", ",".join(map(str, processors))] + command
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    return result.stdout


def run_peer(processors, command):
    """The same for a program with OpenMP threads of its own, each on a processor, as ours are."""
    return run_pinned(processors, command, OMP_NUM_THREADS=str(len(processors)), OMP_PROC_BIND="close",
                      OMP_PLACES=",".join(f"{{{processor}}}" for processor in processors))


def processors_for(threads):
    """That many processors of this process."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < threads:
        sys.exit(f"{threads} threads need as many processors; {len(processors)} may be used")
    return processors[:threads]


def processor_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"
