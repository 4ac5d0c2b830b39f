#!/usr/bin/env python3
"""The same full-batch descent with NumPy or PyTorch, for cmd/compare.

usage: peer.py numpy|torch DATA LAYERS ITERATIONS

DATA is a directory with MNIST's four gzip-compressed IDX files, LAYERS a list as
in 784,128,10. Features are divided by 255, weights start normal with deviation
0.01, the learning rate is 0.1, all in float32; a row is a sample. Prints one JSON
object; the median is over the iterations without the first.
"""
import gzip
import json
import os
import resource
import sys
import time

import numpy as np

RATE = np.float32(0.1)


def read_idx(path):
    with gzip.open(path) as f:
        content = f.read()
    rank = content[3]
    dims = np.frombuffer(content, ">u4", rank, 4)
    return np.frombuffer(content, np.uint8, -1, 4 + 4 * rank).reshape(dims[0], -1)


def with_numpy(x, y, sizes, iterations):
    random = np.random.default_rng(1)
    weights = [(0.01 * random.standard_normal(s)).astype(np.float32) for s in zip(sizes, sizes[1:])]
    biases = [np.zeros(n, np.float32) for n in sizes[1:]]
    rows, m, last = np.arange(len(x)), np.float32(len(x)), len(weights) - 1
    for _ in range(iterations):
        outputs = [x]
        for l, (w, b) in enumerate(zip(weights, biases)):
            z = outputs[-1] @ w
            z += b
            if l < last:
                np.maximum(z, 0, out=z)
            outputs.append(z)
        dz = outputs.pop()
        dz -= dz.max(1, keepdims=True)
        np.exp(dz, out=dz)
        dz /= dz.sum(1, keepdims=True)
        loss = float(-np.log(dz[rows, y]).mean())
        dz[rows, y] -= 1
        dz /= m
        for l in range(last, -1, -1):
            h = outputs[l]
            dw, db = h.T @ dz, dz.sum(0)
            if l > 0:
                dz = dz @ weights[l].T
                dz *= h > 0
            weights[l] -= RATE * dw
            biases[l] -= RATE * db
        yield loss


def with_torch(x, y, sizes, iterations):
    import torch

    layers = []
    for n, p in zip(sizes, sizes[1:]):
        linear = torch.nn.Linear(n, p)
        torch.nn.init.normal_(linear.weight, std=0.01)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    descent = torch.optim.SGD(net.parameters(), lr=float(RATE))
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(iterations):
        descent.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        descent.step()
        yield float(loss.detach())


def main():
    engine, data, layers, iterations = sys.argv[1:]
    x = (read_idx(os.path.join(data, "train-images-idx3-ubyte.gz")) / np.float32(255)).astype(np.float32)
    y = read_idx(os.path.join(data, "train-labels-idx1-ubyte.gz")).ravel().astype(np.int64)
    run = {"numpy": with_numpy, "torch": with_torch}[engine]
    times, start = [], time.perf_counter()
    for loss in run(x, y, [int(n) for n in layers.split(",")], int(iterations)):
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
    version = np.__version__
    if engine == "torch":
        import torch

        version = torch.__version__
    print(json.dumps({
        "engine": engine, "version": version, "loss": loss,
        "median_iteration_seconds": float(np.median(times[1:])),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
