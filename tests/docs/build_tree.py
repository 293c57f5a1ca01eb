#!/usr/bin/env python3
"""Does what a document says: writes the files of its marked code blocks, on top of a copy of some folders.

    build_tree.py ROOT OUT DOCUMENT... [--copy FOLDER_OR_FILE...]

A block marked ```cpp file=layers/scale.h is a new file. One marked ```cpp file=core/ops.def before="..." goes into an
existing one, in front of the only line that contains the text. Other blocks are left alone. Files of OUT that stay the
same are not touched, so that building OUT again is quick; files that are no longer made are removed.
"""
import argparse
import pathlib
import re
import sys

FENCE = re.compile(r"""^```\w+ file=(\S+)(?: before=(["'])(.*?)\2)?\n(.*?)^```$""", re.M | re.S)


def copied(root, names):
    files = {}
    for name in names:
        path = root / name
        members = sorted(path.rglob("*")) if path.is_dir() else [path]
        for member in members:
            if member.is_file():
                files[str(member.relative_to(root))] = member.read_text()
    return files


def insert(files, document, name, anchor, code):
    if name not in files:
        sys.exit(f"{document}: changes {name}, which does not exist")
    lines = files[name].split("\n")
    places = [index for index, line in enumerate(lines) if anchor in line]
    if len(places) != 1:
        sys.exit(f"{document}: {name} has {len(places)} lines with \"{anchor}\", expected one")
    lines[places[0]:places[0]] = code.rstrip("\n").split("\n")
    files[name] = "\n".join(lines)


def apply(files, document):
    blocks = FENCE.findall(document.read_text())
    if not blocks:
        sys.exit(f"{document}: has no code block marked with file=")
    for name, _, anchor, code in blocks:
        if anchor:
            insert(files, document, name, anchor, code)
        elif name in files:
            sys.exit(f"{document}: writes {name}, which exists")
        else:
            files[name] = code


def write(out, files):
    out.mkdir(parents=True, exist_ok=True)
    for path in [path for path in out.rglob("*") if path.is_file()]:
        if str(path.relative_to(out)) not in files:
            path.unlink()
    for name, text in files.items():
        path = out / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("documents", type=pathlib.Path, nargs="+")
    parser.add_argument("--copy", nargs="*", default=[])
    arguments = parser.parse_args()
    files = copied(arguments.root, arguments.copy)
    for document in arguments.documents:
        apply(files, arguments.root / document)
    write(arguments.out, files)


if __name__ == "__main__":
    main()
