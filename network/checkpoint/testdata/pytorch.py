#!/usr/bin/env python3
"""Models as people save them from PyTorch, for foreign_test.go and cmd/clgrad.

usage: /usr/bin/python3 pytorch.py    writes the files of the folder pytorch beside it

Each is the state_dict of a module, saved as safetensors.torch.save_file does: tensors by
their names, contiguous, with the metadata {"format": "pt"}. All networks are 3-4-2 (the
deep one 3-4-4-2), with the weights below, rounded to the file's precision. logits.json has
what each module itself computes in float64 of the rows in it. Those that are checked in were
made with PyTorch 1.13.0a0, Debian 12's python3-torch, which
"./cmd/install-deps.sh peers" installs.
"""
import collections
import json
import os
import struct

import torch
from torch import nn

DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pytorch")
ROWS = [[0, 0.5, -1], [2, -0.25, 3], [0.125, 1, 1]]
TYPES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}


class Named(nn.Module):
    """Layers as attributes, as in PyTorch's tutorials."""

    def __init__(self, bias=True):
        super().__init__()
        self.fc1 = nn.Linear(3, 4, bias=bias)
        self.fc2 = nn.Linear(4, 2, bias=bias)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


class Words(nn.Module):
    """Names without numbers, whose order by the alphabet is not theirs in the network."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 4)
        self.classifier = nn.Linear(4, 2)

    def forward(self, x):
        return self.classifier(torch.relu(self.inner(x)))


class Block(nn.Module):
    def __init__(self, inputs, outputs, last):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.last = last

    def forward(self, x):
        return self.linear(x) if self.last else torch.relu(self.linear(x))


class Wrapped(nn.Module):
    def __init__(self, name, inner):
        super().__init__()
        setattr(self, name, inner)
        self.name = name

    def forward(self, x):
        return getattr(self, self.name)(x)


def blocks():
    return Wrapped("net", Wrapped("layers", nn.Sequential(Block(3, 4, False), Block(4, 4, False), Block(4, 2, True))))


def sequential(bias=True):
    return nn.Sequential(nn.Linear(3, 4, bias=bias), nn.ReLU(), nn.Linear(4, 2, bias=bias))


def many():
    """Twelve layers of the same sizes but the last: 10.weight comes behind 2.weight."""
    layers = []
    for _ in range(11):
        layers += [nn.Linear(3, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(3, 2))


def fill(module):
    """Sixty-fourths, which every precision but BF16 holds."""
    state = 1
    with torch.no_grad():
        for p in module.parameters():
            for i in range(p.numel()):
                state = (1103515245 * state + 12345) % 2**31
                p.view(-1)[i] = ((state >> 16) % 129 - 64) / 64
    return module


def save(name, tensors):
    header, at, data = {"__metadata__": {"format": "pt"}}, 0, b""
    for key in sorted(tensors):
        t = tensors[key].detach().contiguous()
        raw = bytes(t.view(torch.uint8).flatten().tolist()) if t.dim() else struct.pack("<q", t.item())
        header[key] = {"dtype": TYPES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
        at, data = at + len(raw), data + raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(DIR, name + ".safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


os.makedirs(DIR, exist_ok=True)
logits = {}
for name, module in {
    "named": Named(),
    "words": Words(),
    "module": Wrapped("module", Named()),
    "compiled": Wrapped("_orig_mod", sequential()),
    "blocks": blocks(),
    "dropout": nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 2)).eval(),
    "nobias": Named(bias=False),
    "many": many(),
    "linear": nn.Linear(3, 2),
    "f16": sequential().half(),
    "bf16": sequential().bfloat16(),
    "f64": sequential().double(),
}.items():
    save(name, fill(module).state_dict())
    logits[name] = module.double()(torch.tensor(ROWS, dtype=torch.float64)).tolist()

# What is no such network, or could be several.
save("conv", fill(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))).state_dict())
save("norm", fill(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.ReLU(), nn.Linear(4, 2))).state_dict())
running = {k: v for k, v in fill(nn.BatchNorm1d(4, affine=False)).state_dict().items() if v.dim()}
save("running", {**fill(sequential()).state_dict(), **running})
save("coder", fill(Wrapped("net", nn.Sequential(collections.OrderedDict(encoder=nn.Linear(3, 4), decoder=nn.Linear(4, 3))))).state_dict())
module = fill(sequential())
adam = torch.optim.Adam(module.parameters())
module(torch.tensor(ROWS)).sum().backward()
adam.step()
state = {"exp_avg." + n: adam.state[p]["exp_avg"] for n, p in module.named_parameters()}
save("optimizer", {**module.state_dict(), **state})

with open(os.path.join(DIR, "logits.json"), "w") as f:
    lines = ",\n".join(json.dumps(k) + ": " + json.dumps(v) for k, v in logits.items())
    f.write('{"rows": ' + json.dumps(ROWS) + ',\n"logits": {\n' + lines + "}}\n")
