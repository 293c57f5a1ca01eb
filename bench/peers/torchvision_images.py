#!/usr/bin/env python3
"""How fast one thread of torchvision and Pillow makes network inputs of the JPEG files of a folder, as bench_image does.

    torchvision_images.py FOLDER [--repeats N]

Prints a line of JSON for each of evaluation and training: the median of the repeats, by processor time, which is what
the benchmark counts too.
"""
import argparse
import json
import pathlib
import statistics
import time

import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms

PIPELINES = {
    "evaluation": transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)]),
    "training": transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    files = sorted(path for path in options.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    for name, pipeline in PIPELINES.items():
        rates = []
        for _ in range(options.repeats):
            begin = time.process_time()
            for file in files:
                with Image.open(file) as image:
                    pipeline(image.convert("RGB")).load()
            rates.append(len(files) / (time.process_time() - begin))
        print(json.dumps({"name": name, "files": len(files), "images/s": round(statistics.median(rates), 1),
                          "torchvision": torchvision.__version__, "Pillow": PIL.__version__}))


if __name__ == "__main__":
    main()
