#!/usr/bin/env python3
"""Checks the rules that keep the tree readable: who includes whom, guards, lengths, devices, the list of operations.

    check_structure.py ROOT

Prints one line a violation and exits with 1 when there is any.
"""
import pathlib
import re
import sys

FOLDERS = ["core", "autograd", "layers", "models", "data", "infer", "cuda", "apps", "bench", "tests"]

# What each folder may include besides itself. Includes run one way; `infer` does not know layers.
ALLOWED = {
    "core": [],
    "autograd": ["core"],
    "layers": ["core", "autograd"],
    "models": ["core", "autograd", "layers", "data"],
    "data": ["core"],
    "infer": ["core", "autograd"],
    "cuda": ["core", "infer"],
    "apps": ["core", "autograd", "layers", "models", "data", "infer"],
    "bench": ["core", "autograd", "layers", "models", "data", "infer", "cuda"],
    "tests": ["core", "autograd", "layers", "models", "data", "infer", "cuda", "apps"],
}

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LARGEST_FOLDER = 25  # x.h and x.cpp count as one

# Files that are about one device or instruction set, and the selectors that choose between them.
DEVICE_FILES = re.compile(r"^(cuda/|core/host_device.h|core/cpu/kernels/|infer/cpu/|infer/cuda/|bench/)")
DEVICE_SWITCH = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*(CUDA|AVX|SSE|NEON|AMX|__x86_64__|__aarch64__|__ARM)")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def sources(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".inc", ".cpp", ".cu", ".cuh"):
                yield folder, path.relative_to(root)


def check_include(root, folder, path, number, included):
    where = f"{path}:{number}: includes \"{included}\""
    if not (root / included).exists():
        yield f"{where}: no such file; includes are written from the repository root"
        return
    target = included.split("/")[0]
    if target == "ds.h":
        if folder not in ("apps", "bench", "tests"):
            yield f"{where}: the library includes what it needs, not the whole interface"
    elif target != folder and target not in ALLOWED[folder]:
        allowed = ", ".join(ALLOWED[folder]) or "nothing else"
        yield f"{where}: {folder}/ may include {allowed}"


def check_file(root, folder, path):
    lines = (root / path).read_text().split("\n")
    if len(lines) - 1 > LONGEST_FILE:
        yield f"{path}: {len(lines) - 1} lines, expected at most {LONGEST_FILE}"
    if path.suffix in (".h", ".cuh") and "#pragma once" not in lines:
        yield f"{path}: has no #pragma once"
    if folder != "tests":  # there a function may be a list of cases
        yield from check_functions(path, lines)
    for number, line in enumerate(lines, 1):
        include = INCLUDE.match(line)
        if include:
            yield from check_include(root, folder, path, number, include.group(1))
        if folder != "tests" and DEVICE_SWITCH.match(line) and not DEVICE_FILES.match(str(path)):
            yield f"{path}:{number}: switches on a device or instruction set: {line.strip()}"


def check_functions(path, lines):
    """As the formatter leaves them: a function begins at the margin and ends with a brace there."""
    begin = None
    for number, line in enumerate(lines, 1):
        if re.match(r"[A-Za-z_].*[(]", line) and not re.match(r"(namespace|struct|class|enum|extern|typedef|#)\b", line):
            begin = number
        elif line in ("}", "};") and begin is not None:
            if line == "}" and number - begin + 1 > LONGEST_FUNCTION:
                yield f"{path}:{begin}: a function of {number - begin + 1} lines, expected at most {LONGEST_FUNCTION}"
            begin = None


def check_folders(files):
    names = {}
    for _, path in files:
        names.setdefault(path.parent, set()).add(path.stem)
    for folder, inside in sorted(names.items()):
        if len(inside) > LARGEST_FOLDER:
            yield f"{folder}: {len(inside)} sources, expected at most {LARGEST_FOLDER}"


def check_operations(root):
    """Each row of core/ops.def says whether it has a CUDA kernel; that must be true without a CUDA build too."""
    text = re.sub(r"//[^\n]*", "", (root / "core/ops.def").read_text())
    rows = re.findall(r"DS_OP\(\s*(\w+)\s*,\s*\(.*?\)\s*,\s*(\w+)\s*\)", text, re.S)
    if len(rows) != text.count("DS_OP("):
        yield f"core/ops.def: {text.count('DS_OP(')} rows, but only {len(rows)} of the form DS_OP(name, (arguments), CUDA)"
    names = [name for name, _ in rows]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"core/ops.def: {name} is listed more than once"
    kernels = "\n".join(path.read_text() for path in sorted((root / "cuda").rglob("*.cu")) if path.name != "backend.cu")
    for name, column in rows:
        defined = re.search(rf"^void {name}\(", kernels, re.M) is not None
        if column not in ("kCudaKernel", "kCpuOnly"):
            yield f"core/ops.def: {name}: {column}, expected kCudaKernel or kCpuOnly"
        elif defined != (column == "kCudaKernel"):
            yield f"core/ops.def: {name} says {column}, but cuda/*.cu {'defines' if defined else 'does not define'} it"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    files = list(sources(root))
    violations = [*check_operations(root), *check_folders(files)]
    for folder, path in files:
        violations += check_file(root, folder, path)
    for violation in violations:
        print(violation)
    print(f"{len(files)} files, {len(violations)} violations")
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
