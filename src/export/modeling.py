"""The model of this folder in PyTorch, without the program that trained it.

    model = Model("FOLDER")
    logits = model(images)                  # images [N, 3, S, S], RGB from 0 to 1 -> [N, C]
    probabilities = logits.sigmoid()        # those of model.names, one by one; they do not add up to 1

Images are resized to S x S without regard to their aspect, by Pillow's bicubic filter. Needs torch and safetensors.
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file


class Model:
    def __init__(self, folder="."):
        self.config = json.loads(Path(folder, "config.json").read_text())
        self.names, self.head = self.config["label_names"], self.config["sarb"]["head"]
        self.weights = load_file(Path(folder, "model.safetensors"))
        self.prefix = "backbone." if self.head["kind"] == "ssgrl" else ""

    @torch.no_grad()
    def __call__(self, images):
        about, sarb = self.config["pretrained_cfg"], self.config["sarb"]
        mean, std = (torch.tensor(about[key]).view(3, 1, 1) for key in ("mean", "std"))
        lite = self.config["architecture"].startswith("efficientnet")
        maps = (self.efficientnet_lite if lite else self.resnet)((images - mean) / std)
        if sarb["pool"]:
            maps = F.avg_pool2d(maps, 2)
        logits = (self.ssgrl if self.prefix else self.linear_head)(maps)
        if sarb["calibration"] is None:
            return logits
        return logits * torch.tensor(sarb["calibration"]["slope"]) + torch.tensor(sarb["calibration"]["offset"])

    # ---- Layers ----

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def normalize(self, name, x, eps):
        weight, bias, mean, variance = (
            self.weights[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    def convolve(self, name, norm, x, stride=1, same=False):
        """A convolution and its batch normalization; `same` is TensorFlow's padding."""
        weight = self.weights[f"{self.prefix}{name}.weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        if same:
            height, width = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:])
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        x = F.conv2d(x, weight, stride=stride, padding=0 if same else kernel // 2, groups=groups)
        return self.normalize(self.prefix + norm, x, 1e-3 if same else 1e-5)

    def has(self, name):
        return f"{self.prefix}{name}.weight" in self.weights

    # ---- Backbones: [N, 3, S, S] -> [N, F, H, W] ----

    def resnet(self, x):
        x = self.convolve("conv1", "bn1", x, 2).relu()
        if self.weights[f"{self.prefix}conv1.weight"].shape[-1] == 7:
            x = F.max_pool2d(x, 3, 2, 1)
        blocks = ((stage, block) for stage in range(1, 5) for block in range(50))
        for stage, block in blocks:
            name = f"layer{stage}.{block}"
            if not self.has(f"{name}.conv1"):
                continue
            stride, y = 2 if stage > 1 and block == 0 else 1, x
            layers = 3 if self.has(f"{name}.conv3") else 2
            for layer in range(1, layers + 1):
                y = self.convolve(f"{name}.conv{layer}", f"{name}.bn{layer}", y, stride if layer == layers - 1 else 1)
                y = y.relu() if layer < layers else y
            if self.has(f"{name}.downsample.0"):
                x = self.convolve(f"{name}.downsample.0", f"{name}.downsample.1", x, stride)
            x = (x + y).relu()
        return x

    def efficientnet_lite(self, x):
        x = F.relu6(self.convolve("_conv_stem", "_bn0", x, 2, same=True))
        block, stack, width = 0, -1, None
        while self.has(f"_blocks.{block}._project_conv"):
            name, y = f"_blocks.{block}.", x
            outputs = self.weights[f"{self.prefix}{name}_project_conv.weight"].shape[0]
            is_first = outputs != width  # The stacks differ in width.
            stack, width = stack + is_first, outputs
            stride = (1, 2, 2, 2, 1, 2, 1)[stack] if is_first else 1
            if self.has(f"{name}_expand_conv"):
                y = F.relu6(self.convolve(f"{name}_expand_conv", f"{name}_bn0", y, same=True))
            y = F.relu6(self.convolve(f"{name}_depthwise_conv", f"{name}_bn1", y, stride, same=True))
            y = self.convolve(f"{name}_project_conv", f"{name}_bn2", y, same=True)
            x = x + y if stride == 1 and x.shape[1] == outputs else y
            block += 1
        return F.relu6(self.convolve("_conv_head", "_bn1", x, same=True))

    # ---- Heads: [N, F, H, W] -> [N, C] ----

    def linear_head(self, maps):
        name = "_fc" if "_fc.weight" in self.weights else "fc"
        if self.head["pooling"] == "max":
            return self.linear(name, maps.amax((2, 3)))
        if self.head["pooling"] == "mean":
            return self.linear(name, maps.mean((2, 3)))
        scores = self.linear(name, maps.flatten(2).transpose(1, 2))  # [N, P, C], of saliency
        count = min(self.head["positions"], scores.shape[1])
        return scores.mean(1) + self.head["alpha"] * scores.topk(count, 1).values.mean(1)

    def ssgrl(self, maps):
        w = self.weights
        x = self.normalize("changeChannel.1", F.conv2d(maps, w["changeChannel.0.weight"]), 1e-5)
        x = x.flatten(2).transpose(1, 2)  # [N, P, D]
        if "class_conv.weight" in w:
            attention = F.conv2d(maps, w["class_conv.weight"]).sigmoid().flatten(2)
            attention = attention / (attention.shape[2] if self.head["attention_pooling"] == "mean" else 1)
        else:
            words = self.linear("SemanticDecoupling.fc2", w["wordFeatures"])
            joint = torch.tanh(self.linear("SemanticDecoupling.fc1", x).unsqueeze(2) * words)
            scores = self.linear("SemanticDecoupling.fc4", self.linear("SemanticDecoupling.fc3", joint))
            attention = scores.squeeze(3).softmax(1).transpose(1, 2)  # [N, C, P]
        f = h = attention @ x
        gate = lambda number, m, h: sum(
            self.linear(f"GraphNeuralNetwork.fc_{number}_{part}", of) for part, of in (("w", m), ("u", h))
        )
        for _ in range(self.head["steps"]):
            m = torch.cat((w["inMatrix"] @ h, w["outMatrix"] @ h), 2)
            z, r = gate(1, m, h).sigmoid(), gate(2, m, h).sigmoid()
            h = (1 - z) * h + z * gate(3, m, r * h).tanh()
        o = self.linear("fc", torch.cat((h, f), 2)).tanh()
        return (o * w["classifiers.weight"]).sum(2) + w["classifiers.bias"]
