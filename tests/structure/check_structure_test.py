#!/usr/bin/env python3
"""Tests check_structure.py: a clean tree passes, and each kind of violation is found."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("check_structure.py")

CLEAN = {
    "core/ops.def": "DS_OP(relu, (const Tensor& x, Tensor& y), kCpuOnly)\n",
    "core/tensor.h": "#pragma once\n",
    "layers/conv2d.h": '#pragma once\n#include "core/tensor.h"\n',
    "cuda/backend.cu": "",
}


class CheckStructureTest(unittest.TestCase):
    def check(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**CLEAN, **changes}.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            result = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)
            return result.returncode, result.stdout

    def assert_found(self, changes, expected):
        status, output = self.check(changes)
        self.assertEqual(status, 1, output)
        self.assertIn(expected, output)

    def test_clean_tree(self):
        status, output = self.check({})
        self.assertEqual(status, 0, output)

    def test_include_against_the_direction(self):
        self.assert_found({"core/buffer.h": '#pragma once\n#include "layers/conv2d.h"\n'}, "core/ may include nothing else")

    def test_infer_does_not_know_layers(self):
        self.assert_found({"infer/lower.cpp": '#include "layers/conv2d.h"\n'}, "infer/ may include core, autograd")

    def test_include_from_elsewhere_than_the_root(self):
        self.assert_found({"layers/linear.cpp": '#include "conv2d.h"\n'}, "written from the repository root")

    def test_missing_guard(self):
        self.assert_found({"core/shape.h": "int x;\n"}, "core/shape.h: has no #pragma once")

    def test_long_file(self):
        self.assert_found({"core/shape.cpp": "\n" * 401}, "core/shape.cpp: 401 lines")

    def test_long_function(self):
        body = "void f(int x) {\n" + "  ++x;\n" * 59 + "}\n"
        self.assert_found({"core/shape.cpp": body}, "core/shape.cpp:1: a function of 61 lines")
        self.assertEqual(self.check({"core/shape.cpp": body.replace("  ++x;\n", "", 1), "tests/a.cpp": body})[0], 0)

    def test_large_folder(self):
        pair = {f"core/{name}.{suffix}": "#pragma once\n" for name in "abcdefghijklmnopqrstuvwx" for suffix in ("h", "cpp")}
        self.assertEqual(self.check(pair)[0], 0)
        self.assert_found({**pair, "core/y.h": "#pragma once\n"}, "core: 26 sources")

    def test_device_switch(self):
        self.assert_found({"core/shape.cpp": "#ifdef __AVX2__\n#endif\n"}, "core/shape.cpp:1: switches on a device")
        self.assertEqual(self.check({"core/cpu/kernels/select.cpp": "#ifdef __AVX2__\n#endif\n"})[0], 0)

    def test_cuda_column(self):
        row = "DS_OP(relu, (const Tensor& x, Tensor& y), kCudaKernel)\n"
        kernel = "void relu(const Tensor& x, Tensor& y) {}\n"
        self.assert_found({"core/ops.def": row}, "relu says kCudaKernel, but cuda/*.cu does not define it")
        self.assert_found({"cuda/relu.cu": kernel}, "relu says kCpuOnly, but cuda/*.cu defines it")
        self.assertEqual(self.check({"core/ops.def": row, "cuda/relu.cu": kernel})[0], 0)

    def test_operation_listed_twice(self):
        self.assert_found({"core/ops.def": CLEAN["core/ops.def"] * 2}, "relu is listed more than once")


if __name__ == "__main__":
    unittest.main()
