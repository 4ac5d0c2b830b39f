#!/usr/bin/env python3
"""Training by mini-batches with PyTorch, or by L-BFGS with scikit-learn, for cmd/compare.

usage: learner.py ENGINE DATA SETTING...

ENGINE is torch or sklearn, DATA a directory with MNIST's four gzip-compressed IDX files.
SETTING is a JSON object:

  layers     [784, 128, 10]
  optimizer  sgd, nesterov (momentum 0.9) or adam; sklearn has lbfgs alone
  lr, batch  learning rate and rows of a batch
  seed       of weights and order
  epochs     at most, for L-BFGS iterations
  target     test accuracy at which to end, none for all epochs
  limit      seconds of training after which to end, without an epoch that is not whole
  warm       whether some steps come first that do not count

Prints a JSON object a line and setting, with the seconds of training and the test accuracy
after each epoch. Loading and taking the accuracy are not in the seconds. Of several
settings, each ends when it has taken longer than an earlier one took to the target. How many
threads compute is told by OMP_NUM_THREADS and OPENBLAS_NUM_THREADS.
"""
import json
import os
import sys
import time

import numpy as np

from peer import read_idx


class Clock:
    """Measures training, and keeps what it came to after each epoch."""

    def __init__(self, setting, accuracy):
        self.setting, self.accuracy = setting, accuracy
        self.epochs, self.seconds = [], 0.0
        self.start = time.perf_counter()

    def late(self):
        """Says whether the limit has passed, in the middle of an epoch too."""
        return self.seconds + time.perf_counter() - self.start >= self.setting["limit"]

    def ended(self):
        """Takes an epoch and says whether it was the last."""
        self.seconds += time.perf_counter() - self.start
        self.epochs.append({"seconds": self.seconds, "accuracy": self.accuracy()})
        target = self.setting.get("target")
        ended = (
            target is not None and self.epochs[-1]["accuracy"] >= target
            or self.seconds >= self.setting["limit"] or len(self.epochs) >= self.setting["epochs"]
        )
        self.start = time.perf_counter()
        return ended


def with_torch(data, s):
    import torch
    from torch.nn import functional

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    torch.manual_seed(s["seed"])
    x, y, test_x, test_y = (torch.from_numpy(a) for a in data)
    layers = []
    for n, p in zip(s["layers"], s["layers"][1:]):
        layers += [torch.nn.Linear(n, p), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])

    def optimizer():
        if s["optimizer"] == "adam":
            return torch.optim.Adam(net.parameters(), lr=s["lr"])
        nesterov = s["optimizer"] == "nesterov"
        return torch.optim.SGD(net.parameters(), lr=s["lr"], momentum=0.9 if nesterov else 0, nesterov=nesterov)

    def descend(descent, batches, late):
        for rows in batches:
            if late():
                return
            descent.zero_grad(set_to_none=True)
            functional.cross_entropy(net(x.index_select(0, rows)), y.index_select(0, rows)).backward()
            descent.step()

    if s["warm"]:
        start = {k: v.clone() for k, v in net.state_dict().items()}
        descend(optimizer(), torch.randperm(len(x))[: 100 * s["batch"]].split(s["batch"]), lambda: False)
        net.load_state_dict(start)

    def accuracy():
        with torch.no_grad():
            return float((net(test_x).argmax(1) == test_y).float().mean())

    descent = optimizer()
    clock = Clock(s, accuracy)
    while True:
        descend(descent, torch.randperm(len(x)).split(s["batch"]), clock.late)
        if clock.late() or clock.ended():
            return clock.epochs


class Ended(Exception):
    pass


def with_sklearn(data, s):
    import scipy.optimize
    from sklearn.neural_network import MLPClassifier

    x, y, test_x, test_y = data
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


ENGINES = {"torch": with_torch, "sklearn": with_sklearn}


def main():
    engine, directory = sys.argv[1:3]

    def load(prefix):
        x = read_idx(os.path.join(directory, prefix + "-images-idx3-ubyte.gz")).astype(np.float32)
        x /= 255
        return x, read_idx(os.path.join(directory, prefix + "-labels-idx1-ubyte.gz")).ravel().astype(np.int64)

    data = load("train") + load("t10k")
    best = float("inf")
    for text in sys.argv[3:]:
        s = json.loads(text)
        s["limit"] = min(s["limit"], best)
        epochs = ENGINES[engine](data, s)
        print(json.dumps({"version": sys.modules[engine].__version__, "epochs": epochs}), flush=True)
        if s.get("target") is not None and epochs and epochs[-1]["accuracy"] >= s["target"]:
            best = min(best, epochs[-1]["seconds"])


if __name__ == "__main__":
    main()
