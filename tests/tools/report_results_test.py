#!/usr/bin/env python3
"""Tests tools/report_results.py on the files that the trainers write."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "report_results.py"
RESULTS = ROOT / "docs" / "results"

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

    def run_of(self, name, method, correct, epochs=2, **options):
        """The folder of a run that differs from the usual one in these."""
        run = self.folder / name
        run.mkdir()
        (run / "config.json").write_text(json.dumps({**CONFIG, "options": {**CONFIG["options"], **options}}))
        (run / "summary.json").write_text(json.dumps({**SUMMARY, "method": method, "correct": correct, "epochs": epochs}))
        (run / "metrics.jsonl").write_text("")
        return run

    def overview(self, *runs, before="before\n<!-- results -->\nold\n<!-- /results -->\nafter\n"):
        """What the program did with a file of this text, and the file's text then."""
        readme = self.folder / "README.md"
        readme.write_text(before)
        command = [sys.executable, SCRIPT, "overview", "--output", readme, *runs]
        return subprocess.run(command, check=False, capture_output=True, text=True), readme.read_text()

    def test_overview(self):
        result, text = self.overview(self.run_of("a", "q5", 9173), self.run_of("b", "float", 9200))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("| resnet20 | cifar10 | fine-tuned from float | float | 91.73 % (2) | 92.00 % (2) |", text)
        self.assertTrue(text.startswith("before\n<!-- results -->\n| network") and text.endswith("<!-- /results -->\nafter\n"))
        self.assertNotIn("old", text)

    def test_overview_means_over_seeds(self):
        result, text = self.overview(self.run_of("a", "q5", 9173), self.run_of("b", "q5", 9201, seed=4),
                                     self.run_of("c", "q5", 9300, optimizer="muon"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("| resnet20 | cifar10 | fine-tuned from float | float | 91.87 % (2, 2 seeds) |", text)
        self.assertIn("| resnet20 | cifar10 | fine-tuned from float, Muon | float | 93.00 % (2) |", text)

    def test_overview_refuses_a_file_without_a_place(self):
        result, text = self.overview(self.run_of("a", "q5", 9173), before="no such place")
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(text, "no such place")

    def test_overview_refuses_what_its_words_do_not_fit(self):
        first = self.run_of("a", "q5", 9173)
        for other, reason in ((self.run_of("b", "q5", 9200), "a run of resnet20, q5"),
                              (self.run_of("d", "q5", 9200, epochs=3, seed=4), "a run of resnet20, q5"),
                              (self.run_of("c", "q4", 9200, **{"first-last": "float"}), "first and last layer are float")):
            result, text = self.overview(first, other)
            self.assertEqual(result.returncode, 1)
            self.assertIn(reason, result.stderr)
            self.assertIn("old", text)

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

    def test_tables_that_are_kept_are_those_of_the_runs_that_are_kept(self):
        listing = json.loads((RESULTS / "run_tables.json").read_text())
        self.assertEqual({run for table in listing.values() for run in table["runs"]},
                         {path.stem for path in (RESULTS / "runs").glob("*.json")}, "every run stands in a table")
        copy = self.folder / "docs" / "results"
        shutil.copytree(RESULTS / "runs", copy / "runs")
        readme = (ROOT / "README.md").read_text()
        (self.folder / "README.md").write_text(re.sub("(<!-- results -->).*(<!-- /results -->)", r"\1\2", readme, flags=re.S))
        command = [sys.executable, SCRIPT, "tables", "--output", copy, RESULTS / "run_tables.json"]
        subprocess.run(command, check=True, capture_output=True)
        for name in listing:
            self.assertEqual((RESULTS / name).read_text(), (copy / name).read_text(), f"{name} is not what its runs give")

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
