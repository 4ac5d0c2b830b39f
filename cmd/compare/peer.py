#!/usr/bin/env python3
"""The same full-batch descent with NumPy, PyTorch or CuPy, for cmd/compare.

usage: peer.py ENGINE DATA LAYERS ITERATIONS

ENGINE is numpy or torch (on the CPU), torch-cuda, torch-cuda-compile,
torch-cuda-tf32-compile, cupy or cupy-float64 (on an NVIDIA GPU).

DATA is a directory with MNIST's four gzip-compressed IDX files, LAYERS a list as
in 784,128,10. Features are divided by 255, weights start normal with deviation
0.01, the learning rate is 0.1, all in float32 unless the engine says otherwise; a row is a sample. Prints one JSON
object; the median is over the iterations without the first.
"""
import gzip
import json
import os
import resource
import sys
import time

import numpy as np

RATE = 0.1


def read_idx(path):
    with gzip.open(path) as f:
        content = f.read()
    rank = content[3]
    dims = np.frombuffer(content, ">u4", rank, 4)
    return np.frombuffer(content, np.uint8, -1, 4 + 4 * rank).reshape(dims[0], -1)


def with_arrays(np, x, y, sizes, iterations, dtype="float32"):
    """np is NumPy, or CuPy, which has the same functions."""
    random = np.random.RandomState(1)
    weights = [(0.01 * random.standard_normal(s)).astype(dtype) for s in zip(sizes, sizes[1:])]
    biases = [np.zeros(n, dtype) for n in sizes[1:]]
    x, y = np.asarray(x, dtype), np.asarray(y)
    rows, last, rate = np.arange(len(x)), len(weights) - 1, np.dtype(dtype).type(RATE)
    m = np.dtype(dtype).type(len(x))
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
        loss = float(-np.log(dz[rows, y]).mean())  # waits for a GPU
        dz[rows, y] -= 1
        dz /= m
        for l in range(last, -1, -1):
            h = outputs[l]
            dw, db = h.T @ dz, dz.sum(0)
            if l > 0:
                dz = dz @ weights[l].T
                dz *= h > 0
            weights[l] -= rate * dw
            biases[l] -= rate * db
        yield loss


def with_cupy(x, y, sizes, iterations, dtype):
    import cupy

    return with_arrays(cupy, x, y, sizes, iterations, dtype)


def with_torch(x, y, sizes, iterations, device="cpu", tf32=False, compiled=False):
    import torch

    torch.backends.cuda.matmul.allow_tf32 = tf32
    layers = []
    for n, p in zip(sizes, sizes[1:]):
        linear = torch.nn.Linear(n, p)
        torch.nn.init.normal_(linear.weight, std=0.01)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1]).to(device)
    descent = torch.optim.SGD(net.parameters(), lr=RATE)
    x, y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)

    def evaluate():
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        return loss.detach()

    if compiled:
        evaluate = torch.compile(evaluate)
    for _ in range(iterations):
        descent.zero_grad(set_to_none=True)
        loss = evaluate()
        descent.step()
        yield float(loss)  # waits for a GPU


ENGINES = {
    "numpy": lambda *a: with_arrays(np, *a),
    "torch": with_torch,
    "torch-cuda": lambda *a: with_torch(*a, device="cuda"),
    "torch-cuda-compile": lambda *a: with_torch(*a, device="cuda", compiled=True),
    "torch-cuda-tf32-compile": lambda *a: with_torch(*a, device="cuda", tf32=True, compiled=True),
    "cupy": lambda *a: with_cupy(*a, dtype="float32"),
    "cupy-float64": lambda *a: with_cupy(*a, dtype="float64"),
}


def main():
    engine, data, layers, iterations = sys.argv[1:]
    x = (read_idx(os.path.join(data, "train-images-idx3-ubyte.gz")) / np.float32(255)).astype(np.float32)
    y = read_idx(os.path.join(data, "train-labels-idx1-ubyte.gz")).ravel().astype(np.int64)
    run = ENGINES[engine]
    times, start = [], time.perf_counter()
    for loss in run(x, y, [int(n) for n in layers.split(",")], int(iterations)):
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
    version = sys.modules[{"n": "numpy", "t": "torch", "c": "cupy"}[engine[0]]].__version__
    print(json.dumps({
        "engine": engine, "version": version, "loss": loss,
        "median_iteration_seconds": float(np.median(times[1:])),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
