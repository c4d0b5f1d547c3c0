#!/usr/bin/env python3
"""Compares networks in ONNX form, as `sarb` runs them, with PyTorch.

    pip install torch torchvision onnx onnxscript safetensors
    python3 tools/onnx_parity.py export --lite0 WEIGHTS.safetensors --out EXPORTS
    SARB_ONNX_EXPORTS=EXPORTS cargo test --release -p sarb exported_networks -- --ignored     # maps, to 1e-4
    python3 tools/onnx_parity.py train --lite0 WEIGHTS.safetensors --out EXPORTS --data DATA  # mAP on photographs

`export` writes NAME.onnx of torchvision's ResNet-18 and MobileNetV3 and of a small ViT, Swin and ConvNeXt, with random
weights, and of EfficientNet-Lite0 with those of --lite0 (tools/weights.py makes them); beside each NAME.safetensors
with two images of noise and what PyTorch says of them. `train` trains recipes/coco18/linear.toml with our own
EfficientNet-Lite0 and with the exported one and prints the test mAP of both; the first two also compute the maps.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding: the odd pixel at the bottom and the right."""
    def forward(self, x):
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        lost = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]]
        (top, left), (height, width) = [total // 2 for total in lost], lost
        return F.conv2d(F.pad(x, (left, width - left, top, height - top)), self.weight, None, self.stride,
                        groups=self.groups)


class Block(nn.Module):
    """An inverted residual block of EfficientNet-Lite."""
    def __init__(self, inputs, kernel, stride, expansion, width):
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == width
        if expansion != 1:
            self._expand_conv, self._bn0 = SameConv(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden, 1e-3)
        self._depthwise_conv = SameConv(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = nn.BatchNorm2d(hidden, 1e-3)
        self._project_conv, self._bn2 = SameConv(hidden, width, 1, bias=False), nn.BatchNorm2d(width, 1e-3)

    def forward(self, x):
        hidden = F.relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        hidden = F.relu6(self._bn1(self._depthwise_conv(hidden)))
        hidden = self._bn2(self._project_conv(hidden))
        return hidden + x if self.residual else hidden


class Lite0(nn.Module):
    """EfficientNet-Lite0 without its classifier, with the layer names of efficientnet-lite-pytorch."""
    STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
              (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))  # repeats, kernel, stride, expansion, width

    def __init__(self, weights):
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32, 1e-3)
        blocks, inputs = [], 32
        for repeats, kernel, stride, expansion, width in self.STAGES:
            for index in range(repeats):
                blocks.append(Block(inputs, kernel, stride if index == 0 else 1, expansion, width))
                inputs = width
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = SameConv(inputs, 1280, 1, bias=False), nn.BatchNorm2d(1280, 1e-3)
        weights = {name: value for name, value in load_file(weights).items() if not name.startswith("_fc.")}
        missing, unexpected = self.load_state_dict(weights, strict=False)
        if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
            sys.exit(f"these are not the weights of EfficientNet-{type(self).__name__}: {missing[:3]} {unexpected[:3]}")

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)))


class Lite2(Lite0):
    """EfficientNet-Lite2 without its classifier."""
    STAGES = ((1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 48), (4, 3, 2, 6, 88), (4, 5, 1, 6, 120),
              (5, 5, 2, 6, 208), (1, 3, 1, 6, 352))


class Tokens(nn.Module):
    """All tokens of torchvision's ViT, the class token first: [B, 1 + P, F]."""
    def __init__(self, vit):
        super().__init__()
        self.vit = vit

    def forward(self, x):
        x = self.vit._process_input(x)
        x = torch.cat([self.vit.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.vit.encoder(x)


def with_random_statistics(network):
    """Batch normalization that is not the identity, as after training."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.8, 1.2)
            nn.init.uniform_(layer.bias, -0.1, 0.1)
    return network


def networks(lite0):
    """Name, network, side of its images."""
    from torchvision import models
    from torchvision.models.convnext import CNBlockConfig
    from torchvision.models.swin_transformer import SwinTransformer
    torch.manual_seed(0)
    resnet = with_random_statistics(models.resnet18(weights=None))
    yield "resnet18", nn.Sequential(*list(resnet.children())[:-2]), 224
    yield "mobilenet_v3", with_random_statistics(models.mobilenet_v3_large(weights=None)).features, 224
    vit = models.VisionTransformer(64, 8, num_layers=3, num_heads=4, hidden_dim=64, mlp_dim=128)
    yield "vit", Tokens(vit), 64
    swin = SwinTransformer([4, 4], 32, [2, 2], [2, 4], [4, 4])
    yield "swin", nn.Sequential(swin.features, swin.norm), 64
    convnext = models.ConvNeXt([CNBlockConfig(32, 64, 2), CNBlockConfig(64, None, 2)])
    yield "convnext", convnext.features, 64
    if lite0:
        yield "efficientnet_lite0", Lite0(lite0), 224


def export(arguments):
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, network, size in networks(arguments.lite0):
        network.eval()
        images = torch.randn(2, 3, size, size)
        with torch.inference_mode():
            maps = network(images)
        file = arguments.out / f"{name}.onnx"
        torch.onnx.export(network, (images,), file, input_names=["image"], output_names=["map"], dynamo=True,
                          external_data=False, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), verbose=False)
        save_file({"images": images, "maps": maps.contiguous()}, arguments.out / f"{name}.safetensors")
        print(f"{name}: {list(images.shape)} -> {list(maps.shape)}, {file.stat().st_size / 1e6:.1f} MB")


def train(arguments):
    recipe = ROOT / "recipes/coco18/linear.toml"
    ours = ["--weights", str(arguments.lite0)]
    theirs = ["--set", f"backbone.onnx={(arguments.out / 'efficientnet_lite0.onnx').resolve()}"]
    with tempfile.TemporaryDirectory() as folder:
        cache = ["--cache", str(Path(folder) / "cache")]
        for known in arguments.known:
            for name, backbone in (("our own", ours), ("ONNX", theirs)):
                run = Path(folder) / "run"
                data = ["--data", str(arguments.data), "--known", str(known)]
                start = time.perf_counter()
                subprocess.run([arguments.sarb, "train", recipe, *data, *backbone, *cache, "--out", run, "--force"],
                               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                said = subprocess.run([arguments.sarb, "evaluate", run, *cache, "--json"], check=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
                seconds = time.perf_counter() - start
                print(f"{100 * known:.0f} % known, EfficientNet-Lite0, {name}: test mAP "
                      f"{100 * json.loads(said)['map']:.4f} %, {seconds:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, work in (("export", export), ("train", train)):
        command = commands.add_parser(name)
        command.set_defaults(work=work)
        command.add_argument("--out", type=Path, required=True, metavar="EXPORTS", help="folder of the exports")
        command.add_argument("--lite0", type=Path, required=name == "train", metavar="FILE",
                             help="EfficientNet-Lite0's weights")
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="the photographs of tools/coco18.py")
    command.add_argument("--known", type=float, nargs="+", default=[0.1, 0.5, 0.9], metavar="P",
                         help="proportions of known labels")
    command.add_argument("--sarb", default="sarb", metavar="PROGRAM", help="the program")
    arguments = parser.parse_args()
    arguments.work(arguments)


if __name__ == "__main__":
    main()
