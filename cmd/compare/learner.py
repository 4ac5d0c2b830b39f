#!/usr/bin/env python3
"""Training by mini-batches with PyTorch, or by L-BFGS with scikit-learn, for cmd/compare.

usage: learner.py ENGINE DATA

ENGINE is one of
  torch, sklearn             on the CPU
  torch-cuda                 on an NVIDIA GPU, in float32 without TF32
  torch-cuda-compile         there, with forward, loss and backward by torch.compile
  torch-cuda-graph           there, with each step replayed as a CUDA graph
  torch-cuda-compile-graph   both
DATA is a directory with MNIST's four gzip-compressed IDX files.

Reads settings from standard input, a JSON object a line, and answers each with one:

  layers     [784, 128, 10]
  optimizer  sgd, nesterov (momentum 0.9) or adam; sklearn has lbfgs alone
  lr, batch  learning rate and rows of a batch
  seed       of weights and order
  epochs     at most, for L-BFGS iterations
  target     test accuracy at which to end, none for all epochs
  limit      seconds of training after which to end, without an epoch that is not whole
  warm       whether some steps come first that do not count; graphs need them

The answer has the seconds of training and the test accuracy after each epoch. Loading,
compiling, capturing and taking the accuracy are not in the seconds. How many threads
compute is told by OMP_NUM_THREADS and OPENBLAS_NUM_THREADS.
"""
import functools
import importlib
import json
import os
import sys
import time

import numpy as np

from peer import read_idx


class Clock:
    """Measures training, and keeps what it came to after each epoch. wait returns when all work is done."""

    def __init__(self, setting, accuracy, wait=lambda: None):
        self.setting, self.accuracy, self.wait = setting, accuracy, wait
        self.epochs, self.seconds = [], 0.0
        self.wait()
        self.start = time.perf_counter()

    def late(self):
        """Says whether the limit has passed, in the middle of an epoch too."""
        return self.seconds + time.perf_counter() - self.start >= self.setting["limit"]

    def ended(self):
        """Takes an epoch and says whether it was the last."""
        self.wait()
        self.seconds += time.perf_counter() - self.start
        self.epochs.append({"seconds": self.seconds, "accuracy": self.accuracy()})
        target = self.setting.get("target")
        ended = (
            target is not None and self.epochs[-1]["accuracy"] >= target
            or self.seconds >= self.setting["limit"] or len(self.epochs) >= self.setting["epochs"]
        )
        self.start = time.perf_counter()
        return ended


class Trainer:
    """A network with its optimizer in PyTorch, whose data is on its device."""

    def __init__(self, data, s, compiled, graphs):
        import torch
        from torch.nn import functional

        self.batch, self.graphs, self.captured = s["batch"], graphs, {}
        self.x, self.y = x, y = data
        layers = []
        for n, p in zip(s["layers"], s["layers"][1:]):
            layers += [torch.nn.Linear(n, p), torch.nn.ReLU()]
        self.net = net = torch.nn.Sequential(*layers[:-1]).to(x.device)
        options = {"lr": s["lr"], **({"fused": True} if x.is_cuda else {})}
        if s["optimizer"] == "adam":
            self.descent = torch.optim.Adam(net.parameters(), capturable=graphs, **options)
        else:
            nesterov = s["optimizer"] == "nesterov"
            self.descent = torch.optim.SGD(net.parameters(), momentum=0.9 if nesterov else 0, nesterov=nesterov, **options)

        def loss(rows):
            return functional.cross_entropy(net(x.index_select(0, rows)), y.index_select(0, rows))

        self.loss = torch.compile(loss, dynamic=False) if compiled else loss

    def reset(self):
        """Draws the weights anew and clears the optimizer's state, in the memory that captured steps use."""
        for layer in self.net[::2]:
            layer.reset_parameters()
        for state in self.descent.state.values():
            for value in state.values():
                if value is not None:
                    value.zero_()

    def epoch(self):
        """Returns the batches of an epoch. The last one has the rows that are left."""
        import torch

        return torch.randperm(len(self.x), device=self.x.device).split(self.batch)

    def descend(self, rows):
        self.descent.zero_grad(set_to_none=True)
        self.loss(rows).backward()
        self.descent.step()

    def step(self, rows):
        if not self.graphs:
            self.descend(rows)
            return
        # A graph has fixed shapes: the short last batch has one of its own.
        if len(rows) not in self.captured:
            self.captured[len(rows)] = self.capture(rows)
        static, graph = self.captured[len(rows)]
        static.copy_(rows)
        graph.replay()

    def capture(self, rows):
        """Captures a step, after some on a side stream, as the documentation of torch.cuda.graph has it."""
        import torch

        static = rows.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.descend(static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.descend(static)
        return static, graph


@functools.cache
def on_device(device):
    import torch

    return [torch.from_numpy(a).to(device) for a in mnist(sys.argv[2])]


@functools.cache
def trainer(device, setting, compiled, graphs):
    """Returns the one trainer of a setting: what was compiled or captured serves all its runs."""
    return Trainer(on_device(device)[:2], json.loads(setting), compiled, graphs)


def with_torch(s, device="cpu", compiled=False, graphs=False):
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    torch.set_float32_matmul_precision("highest")
    if compiled:
        # Every setting and size of a batch is compiled once. Beyond this limit they would run as they are.
        name = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
        setattr(torch._dynamo.config, name, 1000)
    test_x, test_y = on_device(device)[2:]
    torch.manual_seed(s["seed"])
    t = trainer(device, json.dumps({key: s[key] for key in ("layers", "optimizer", "lr", "batch")}), compiled, graphs)
    if s["warm"]:
        batches = t.epoch()
        for rows in batches[:99] + batches[-1:]:
            t.step(rows)
    torch.manual_seed(s["seed"])
    t.reset()

    def accuracy():
        with torch.no_grad():
            return float((t.net(test_x).argmax(1) == test_y).float().mean())

    clock = Clock(s, accuracy, torch.cuda.synchronize if device == "cuda" else lambda: None)
    while True:
        for rows in t.epoch():
            if clock.late():
                return clock.epochs
            t.step(rows)
        if clock.ended():
            return clock.epochs


class Ended(Exception):
    pass


def with_sklearn(s):
    import scipy.optimize
    from sklearn.neural_network import MLPClassifier

    x, y, test_x, test_y = mnist(sys.argv[2])
    net = MLPClassifier(s["layers"][1:-1], solver="lbfgs", alpha=0, max_iter=s["epochs"], max_fun=10**9, random_state=s["seed"])

    def accuracy():
        h = test_x
        for w, b in zip(net.coefs_[:-1], net.intercepts_[:-1]):
            h = np.maximum(h @ w + b, 0)
        return float(((h @ net.coefs_[-1] + net.intercepts_[-1]).argmax(1) == test_y).mean())

    def callback(theta):
        net._unpack(theta)
        if clock.ended():
            raise Ended

    # MLPClassifier calls nobody after an iteration of L-BFGS; scipy does.
    minimize = scipy.optimize.minimize
    scipy.optimize.minimize = lambda *a, **k: minimize(*a, callback=callback, **k)
    clock = Clock(s, accuracy)
    try:
        net.fit(x, y)
    except Ended:
        pass
    finally:
        scipy.optimize.minimize = minimize
    return clock.epochs


@functools.cache
def mnist(directory):
    """Returns features and labels of the training set, then of the test set."""
    data = []
    for prefix in ("train", "t10k"):
        x = read_idx(os.path.join(directory, prefix + "-images-idx3-ubyte.gz")).astype(np.float32)
        x /= 255
        data += [x, read_idx(os.path.join(directory, prefix + "-labels-idx1-ubyte.gz")).ravel().astype(np.int64)]
    return data


ENGINES = {
    "torch": with_torch,
    "torch-cuda": functools.partial(with_torch, device="cuda"),
    "torch-cuda-compile": functools.partial(with_torch, device="cuda", compiled=True),
    "torch-cuda-graph": functools.partial(with_torch, device="cuda", graphs=True),
    "torch-cuda-compile-graph": functools.partial(with_torch, device="cuda", compiled=True, graphs=True),
    "sklearn": with_sklearn,
}


def main():
    engine = sys.argv[1]
    module = importlib.import_module(engine.split("-")[0])
    mnist(sys.argv[2])
    for line in sys.stdin:
        epochs = ENGINES[engine](json.loads(line))
        print(json.dumps({"version": module.__version__, "epochs": epochs}), flush=True)


if __name__ == "__main__":
    main()
