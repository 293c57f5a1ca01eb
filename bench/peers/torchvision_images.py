#!/usr/bin/env python3
"""How fast one thread of torchvision and Pillow makes network inputs of the JPEG files of a folder, as bench_image does.

    torchvision_images.py FOLDER

Prints a line of JSON for each of evaluation and training, by processor time, which is what the benchmark counts too.
"""
import argparse
import json
import pathlib
import time

import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms

BATCH = 32
TO_FLOAT = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
PIPELINES = {
    "evaluation": transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), *TO_FLOAT]),
    "training": transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *TO_FLOAT]),
}


class Files(torch.utils.data.Dataset):
    def __init__(self, paths, pipeline):
        self.paths, self.pipeline = paths, pipeline

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.pipeline(image.convert("RGB"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    files = sorted(path for path in options.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    for name, pipeline in PIPELINES.items():
        loader = torch.utils.data.DataLoader(Files(files, pipeline), batch_size=BATCH)
        for _ in range(2):  # the first time, files are read from the disk
            begin = time.process_time()
            for _batch in loader:
                pass
        print(json.dumps({"name": name, "files": len(files), "images/s": len(files) / (time.process_time() - begin),
                          "torch": torch.__version__, "torchvision": torchvision.__version__, "Pillow": PIL.__version__}))


if __name__ == "__main__":
    main()
