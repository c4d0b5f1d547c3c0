#!/usr/bin/env python3
"""Times a training step of SARB in PyTorch, to compare with `yardstick step` (benches/) on the same machine.

    pip install torch torchvision numpy
    alias yardstick="cargo run --release -p sarb-benches --bin yardstick --"
    python3 tools/peer_step.py --categories 80 --batch 8 --size 448                  # with a ResNet-101
    yardstick step --json --categories 80 --batch 8 --size 448
    python3 tools/peer_step.py --categories 18 --batch 32 --cached 1280 --dim 512    # the head alone
    yardstick step --json --categories 18 --batch 32 --cached 1280 --dim 512

It computes what the authors' code computes (arXiv:2203.02172, github.com/HCPLab-SYSU/HCP-MLR-PL), costs included: the
joint feature of every position with every category is materialized, and each of the three branches passes through the
graph on its own. A step is forward, backward, and Adam on random inputs, weights, graph, and labels. Left out: reading
images, k-means for the prototypes, the contrastive loss's subsampling (all pairs count), schedules, bounds on alpha
and beta.

With --folded it is inference alone, of a network made ready for service; --bf16 computes in bfloat16.

Prints one JSON object: seconds of the fastest of --repeat training steps and inference passes, each after an uncounted
one, and peak resident memory in MiB. Shapes: B images, P positions, C categories, D width of a representation, M joint
width, E word width, K prototypes per category.
"""
import argparse
import json
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F

WORD_WIDTH, PROTOTYPES, GRAPH_STEPS, MAP_SIDE, CONTRASTIVE_WEIGHT = 300, 10, 3, 7, 0.05


class Backbone(nn.Module):
    """ResNet-101 of which only the last stage is trained: [B, 3, H, W] -> [B, 2048, H/64, W/64]."""
    def __init__(self):
        super().__init__()
        from torchvision.models import resnet101
        net = resnet101(weights=None)
        stem = [net.conv1, net.bn1, net.relu, net.maxpool]
        self.trunk = nn.Sequential(*stem, net.layer1, net.layer2, net.layer3).requires_grad_(False)
        self.stage = nn.Sequential(net.layer4, nn.AvgPool2d(2))

    def forward(self, images):
        self.trunk.eval()  # BatchNorm statistics are frozen along with the weights
        with torch.no_grad():
            maps = self.trunk(images)
        return self.stage(maps)


class SemanticDecoupling(nn.Module):
    """One representation per category, by attention over positions: [B, P, D], [C, E] -> [B, C, D]."""
    def __init__(self, dim, joint, word_width):
        super().__init__()
        self.from_position = nn.Linear(dim, joint, bias=False)
        self.from_word = nn.Linear(word_width, joint, bias=False)
        self.combine, self.score = nn.Linear(joint, joint), nn.Linear(joint, 1)

    def forward(self, positions, words):
        (b, p, d), c = positions.shape, len(words)
        # `repeat` where broadcasting would do: the copies are part of the official code's cost.
        seen = self.from_position(positions).unsqueeze(2).repeat(1, 1, c, 1)  # [B, P, C, M]
        named = self.from_word(words).repeat(b, p, 1, 1)  # [B, P, C, M]
        scores = self.score(self.combine(torch.tanh(seen * named)))  # [B, P, C, 1]
        attention = scores.softmax(dim=1).repeat(1, 1, 1, d)  # [B, P, C, D]
        return (attention * positions.unsqueeze(2).repeat(1, 1, c, 1)).sum(dim=1)


class GatedGraph(nn.Module):
    """Gated propagation along the category graph: [B, C, D], [C, C] -> [B, C, D]."""
    def __init__(self, dim):
        super().__init__()
        self.update_message, self.update_state = nn.Linear(2 * dim, dim), nn.Linear(dim, dim)
        self.reset_message, self.reset_state = nn.Linear(2 * dim, dim), nn.Linear(dim, dim)
        self.new_message, self.new_state = nn.Linear(2 * dim, dim), nn.Linear(dim, dim)

    def forward(self, states, graph):
        graph = graph.repeat(len(states), 1, 1)  # [B, C, C]
        for _ in range(GRAPH_STEPS):
            messages = torch.cat([graph @ states, graph.transpose(1, 2) @ states], dim=2)  # [B, C, 2D]
            update = torch.sigmoid(self.update_message(messages) + self.update_state(states))
            reset = torch.sigmoid(self.reset_message(messages) + self.reset_state(states))
            new = torch.tanh(self.new_message(messages) + self.new_state(reset * states))
            states = (1 - update) * states + update * new
        return states


class Sarb(nn.Module):
    """The whole network; `backbone` yields maps of `channels` channels."""
    def __init__(self, backbone, channels, dim, joint, words, graph):
        super().__init__()
        self.backbone = backbone
        self.reduce = nn.Sequential(nn.Conv2d(channels, dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.decoupling = SemanticDecoupling(dim, joint, words.shape[1])
        self.propagate = GatedGraph(dim)
        self.fuse = nn.Linear(2 * dim, dim)
        self.classifier = nn.Linear(dim, len(words))  # row c scores only category c's own features
        self.alpha, self.beta = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.5))
        self.register_buffer("words", words)  # [C, E]
        self.register_buffer("graph", graph)  # [C, C]

    def represent(self, images):
        maps = self.reduce(self.backbone(images))  # [B, D, H, W]
        return self.decoupling(maps.flatten(2).transpose(1, 2), self.words)  # [B, C, D]

    def classify(self, representations):
        states = self.propagate(representations, self.graph)
        features = torch.tanh(self.fuse(torch.cat([states, representations], dim=2)))  # [B, C, D]
        return (features * self.classifier.weight).sum(dim=2) + self.classifier.bias  # [B, C]


def blend_instances(representations, targets, alpha):
    """Blends with image B-1-b where a label is unknown here and positive there."""
    share = torch.where((targets == 0) & (targets.flip(0) == 1), alpha, 1.0)  # [B, C]
    blended = share.unsqueeze(2) * representations + (1 - share).unsqueeze(2) * representations.flip(0)
    return blended, share * targets + (1 - share) * targets.flip(0)


def blend_prototypes(representations, targets, prototypes, priority, beta):
    """Blends each image's unknown label of highest priority with its category's prototype, a row of [C, D]."""
    # As in the official code, an image without unknown labels has its first label overwritten.
    chosen = (priority * (targets == 0)).argmax(dim=1)
    mask = F.one_hot(chosen, targets.shape[1]).float()  # [B, C]
    filled = beta * representations + (1 - beta) * prototypes
    blended = mask.unsqueeze(2) * filled + (1 - mask).unsqueeze(2) * representations
    return blended, mask * (1 - beta) + (1 - mask) * targets


def partial_bce(logits, targets):
    """Mean over known labels; a target is -1 (negative), 0 (unknown), or the probability to reach."""
    positive = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0), reduction="none")
    known = targets != 0
    return (torch.where(targets > 0, positive, F.softplus(logits)) * known).sum() / known.sum().clamp(min=1)


def contrastive(representations, targets):
    """Mean over all pairs of images: two positives of a category attract, any other two known labels repel."""
    i, j = torch.triu_indices(len(targets), len(targets), offset=1)
    cosine = F.cosine_similarity(representations[i], representations[j], dim=2, eps=1e-9)  # [B(B-1)/2, C]
    attract, known = (targets[i] == 1) & (targets[j] == 1), (targets[i] != 0) & (targets[j] != 0)
    return (torch.where(attract, 1 - cosine, 1 + cosine) * known).sum() / known.sum().clamp(min=1)


def training_loss(model, images, targets, prototypes):
    """The sum of the losses of the three branches and the contrastive one; prototypes: [C, K, D]."""
    clean = model.represent(images)  # [B, C, D]
    loss = partial_bce(model.classify(clean), targets)
    blended, blended_targets = blend_instances(clean, targets, model.alpha)
    loss = loss + partial_bce(model.classify(blended), blended_targets)
    prototype, priority = prototypes[:, torch.randint(prototypes.shape[1], ())], torch.rand_like(targets)
    blended, blended_targets = blend_prototypes(clean, targets, prototype, priority, model.beta)
    loss = loss + partial_bce(model.classify(blended), blended_targets)
    return loss + CONTRASTIVE_WEIGHT * contrastive(clean, targets)


def fastest(work, repeat):
    seconds = []
    for _ in range(1 + repeat):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return round(min(seconds[1:]), 4)


def deployed(backbone, images, bf16):
    """A backbone as it would be put into service: BatchNorm folded into the convolutions, channels last, its own numbers bf16."""
    from torch.fx.experimental.optimization import fuse
    plain = nn.Sequential(*backbone.trunk, *backbone.stage).eval()
    dtype = torch.bfloat16 if bf16 else torch.float32
    network = fuse(plain).to(dtype).to(memory_format=torch.channels_last)
    return network, images.to(dtype).contiguous(memory_format=torch.channels_last)


def measure(categories, batch, size, dim, joint, cached, repeat, bf16, folded):
    shape = [batch, cached, MAP_SIDE, MAP_SIDE] if cached else [batch, 3, size, size]
    backbone, channels = (nn.Identity(), cached) if cached else (Backbone(), 2048)
    words, graph = torch.randn(categories, WORD_WIDTH), torch.rand(categories, categories)
    model = Sarb(backbone, channels, dim, joint, words, graph)
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-5, weight_decay=5e-4)
    images, prototypes = torch.randn(shape), torch.randn(categories, PROTOTYPES, dim)
    targets = torch.randint(-1, 2, (batch, categories)).float()  # -1, 0, and 1 in equal shares

    def train_step():
        model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = training_loss(model, images, targets, prototypes)
        loss.backward()
        adam.step()
        adam.zero_grad()

    def inference():
        model.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            model.classify(model.represent(images))

    found = {"categories": categories, "batch": batch, "size": size, "cached": cached, "bf16": bf16, "folded": folded}
    if folded:
        model.backbone, images = deployed(backbone, images, bf16)
    else:
        found |= {"train_step_s": fastest(train_step, repeat)}
    found |= {"inference_s": fastest(inference, repeat)}
    return found | {"peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}  # KiB on Linux


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, meaning in (
        ("categories", 80, "categories C"),
        ("batch", 8, "images B in a step"),
        ("size", 448, "side of the images in pixels"),
        ("dim", 1024, "width D of a representation"),
        ("joint", 512, "width M of the joint space"),
        ("cached", 0, "channels of 7x7 feature maps that replace images and backbone; 0: images"),
        ("threads", 2, "threads PyTorch computes on"),
        ("repeat", 3, "counted runs"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"integer, default {default}: {meaning}")
    parser.add_argument("--bf16", action="store_true", help="flag: compute in bfloat16 by autocast")
    parser.add_argument("--folded", action="store_true", help="flag: inference alone, BatchNorm folded, channels last")
    arguments = vars(parser.parse_args())
    if arguments["folded"] and arguments["cached"]:
        parser.error("--folded is for images; leave --cached out")
    torch.set_num_threads(arguments.pop("threads"))
    torch.manual_seed(0)
    print(json.dumps(measure(**arguments)))


if __name__ == "__main__":
    main()
