#!/usr/bin/env python3
"""Tests tools/report_results.py on the files that the trainers write."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).parents[2] / "tools" / "report_results.py"

CONFIG = {"program": "train_cifar", "version": "0.1.0",
          "options": {"arch": "resnet20", "data": "/somewhere", "lr": 0.1, "mean": [0.5, 0.25], "nesterov": False,
                      "output": "", "pretrained": "/elsewhere/float.safetensors", "seed": 3},
          "machine": {"cpu": "A processor", "threads": 2, "engine": "native", "compiler": "gcc 12.2.0"}}
SUMMARY = {"arch": "resnet20", "dataset": "cifar10", "method": "q5", "activation_bits": "", "epochs": 2, "best_epoch": 2,
           "chosen_on_held_out_images": False, "correct": 9173, "total": 10000, "bits_per_weight": 5.0,
           "weight_bytes": 170000, "seconds": 12.3}


class ReportResultsTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)

    def report(self, kind, *inputs):
        output = self.folder / "report.md"
        result = subprocess.run([sys.executable, SCRIPT, kind, "--title", "Title", "--output", output, *inputs],
                                capture_output=True, text=True)
        return result, output.read_text() if output.exists() else ""

    def test_runs(self):
        run = self.folder / "q"
        run.mkdir()
        (run / "config.json").write_text(json.dumps(CONFIG))
        (run / "summary.json").write_text(json.dumps(SUMMARY))
        (run / "metrics.jsonl").write_text("".join(f'{{"images_per_s": {rate}}}\n' for rate in (100, 300, 400)))
        result, text = self.report("runs", run)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("| q | resnet20 | cifar10 | q5 | float | 3 | 2 of 2, last | 91.73 % | 9173/10000 | 5.00 | 170000 | 12 "
                      "| 300 |", text)
        self.assertIn("train_cifar --arch resnet20 --data DIR --lr 0.1 --mean 0.5,0.25 --pretrained float.safetensors "
                      "--seed 3\n", text)

    def test_overview(self):
        readme = self.folder / "README.md"
        readme.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
        runs = []
        for name, method, correct in (("a", "q5", 9173), ("b", "float", 9200)):
            runs.append(self.folder / name)
            runs[-1].mkdir()
            (runs[-1] / "config.json").write_text(json.dumps(CONFIG))
            (runs[-1] / "summary.json").write_text(json.dumps({**SUMMARY, "method": method, "correct": correct}))
            (runs[-1] / "metrics.jsonl").write_text("")
        command = [sys.executable, SCRIPT, "overview", "--output", readme, *runs]
        self.assertEqual(subprocess.run(command, check=False).returncode, 0)
        text = readme.read_text()
        self.assertIn("| resnet20 | cifar10 | fine-tuned from float | float | 91.73 % (2) | 92.00 % (2) |", text)
        self.assertTrue(text.startswith("before\n<!-- results -->\n| network") and text.endswith("<!-- /results -->\nafter\n"))
        self.assertNotIn("old", text)
        readme.write_text("no such place")
        self.assertNotEqual(subprocess.run(command, check=False, capture_output=True).returncode, 0)
        self.assertEqual(readme.read_text(), "no such place")

    def test_collected_runs_give_the_same_table_and_name_no_folder(self):
        run = self.folder / "q"
        run.mkdir()
        (run / "config.json").write_text(json.dumps(CONFIG))
        (run / "summary.json").write_text(json.dumps(SUMMARY))
        (run / "metrics.jsonl").write_text('{"images_per_s": 100}\n')
        collect = [sys.executable, SCRIPT, "collect", "--output", self.folder / "kept", run]
        without_curves = subprocess.run(collect, check=False, capture_output=True, text=True)
        self.assertNotEqual(without_curves.returncode, 0)
        self.assertIn("curves.svg not found", without_curves.stderr)
        (run / "curves.svg").write_text("<svg/>")
        subprocess.run(collect, check=True)
        kept = self.folder / "kept" / "q.json"
        self.assertNotIn("where", kept.read_text())
        self.assertEqual(self.report("runs", kept)[1], self.report("runs", run)[1])
        self.assertIn("![loss and accuracy of q](kept/q.svg)\n", self.report("runs", "--curves", kept)[1])
        self.assertNotEqual(self.report("runs", "--curves", run)[0].returncode, 0)

    def test_run_without_summary(self):
        run = self.folder / "unfinished"
        run.mkdir()
        (run / "config.json").write_text(json.dumps(CONFIG))
        result, text = self.report("runs", run)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("summary.json not found", result.stderr)
        self.assertEqual(text, "")

    def test_evaluations(self):
        log = self.folder / "evaluations.log"
        log.write_text("$ deepshift eval a\ntop-1 8383/10000 (83.83 %)\n$ deepshift eval b\ntop-1 9033/10000 (90.33 %)\n")
        result, text = self.report("evaluations", log)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("| `deepshift eval a` | 8383/10000 | 83.83 % |\n| `deepshift eval b` | 9033/10000 | 90.33 % |", text)

    def test_log_without_result(self):
        log = self.folder / "evaluations.log"
        log.write_text("$ deepshift eval a\nerror\n")
        self.assertNotEqual(self.report("evaluations", log)[0].returncode, 0)


if __name__ == "__main__":
    unittest.main()
