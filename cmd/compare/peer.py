#!/usr/bin/env python3
"""The same full-batch descent with NumPy, PyTorch or CuPy, for cmd/compare.

usage: peer.py ENGINE DATA

ENGINE is numpy or torch (on the CPU), torch-cuda, torch-cuda-compile,
torch-cuda-tf32-compile, cupy or cupy-float64 (on an NVIDIA GPU).

DATA is a directory with MNIST's four gzip-compressed IDX files. Features are divided
by 255, weights start normal with deviation 0.01, the learning rate is 0.1, all in
float32 unless the engine says otherwise; a row is a sample.

Reads networks from standard input, a JSON object a line, and answers each with one:

  layers      [784, 128, 10]
  iterations  how many
  window      iterations from one wait for the device to the next, 1 on a CPU

The answer's median is over the windows without the first.
"""
import functools
import gzip
import importlib
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


def with_arrays(np, sizes, iterations, dtype="float32"):
    """np is NumPy, or CuPy, which has the same functions."""
    random = np.random.RandomState(1)
    weights = [(0.01 * random.standard_normal(s)).astype(dtype) for s in zip(sizes, sizes[1:])]
    biases = [np.zeros(n, dtype) for n in sizes[1:]]
    x, y = (np.asarray(a) for a in mnist(sys.argv[2]))
    x = x.astype(dtype, copy=False)
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
        loss = -np.log(dz[rows, y]).mean()
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


def with_cupy(sizes, iterations, dtype):
    import cupy

    return with_arrays(cupy, sizes, iterations, dtype)


@functools.cache
def torch_data(device):
    import torch

    return [torch.from_numpy(a).to(device) for a in mnist(sys.argv[2])]


@functools.cache
def torch_net(sizes, device, compiled):
    """Returns the network of these sizes, and what computes its loss and gradients: one, so that it is compiled once."""
    import torch

    x, y = torch_data(device)
    layers = []
    for n, p in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(n, p), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1]).to(device)

    def loss():
        return torch.nn.functional.cross_entropy(net(x), y)

    return net, torch.compile(loss, dynamic=False) if compiled else loss


def with_torch(sizes, iterations, device="cpu", tf32=False, compiled=False):
    import torch

    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    net, evaluate = torch_net(sizes, device, compiled)
    for linear in net[::2]:
        torch.nn.init.normal_(linear.weight, std=0.01)
        torch.nn.init.zeros_(linear.bias)
    descent = torch.optim.SGD(net.parameters(), lr=RATE, **({"fused": True} if device == "cuda" else {}))
    for _ in range(iterations):
        descent.zero_grad(set_to_none=True)
        loss = evaluate()
        loss.backward()
        descent.step()
        yield loss.detach()


@functools.cache
def mnist(directory):
    x = (read_idx(os.path.join(directory, "train-images-idx3-ubyte.gz")) / np.float32(255)).astype(np.float32)
    return x, read_idx(os.path.join(directory, "train-labels-idx1-ubyte.gz")).ravel().astype(np.int64)


ENGINES = {
    "numpy": functools.partial(with_arrays, np),
    "torch": with_torch,
    "torch-cuda": functools.partial(with_torch, device="cuda"),
    "torch-cuda-compile": functools.partial(with_torch, device="cuda", compiled=True),
    "torch-cuda-tf32-compile": functools.partial(with_torch, device="cuda", tf32=True, compiled=True),
    "cupy": functools.partial(with_cupy, dtype="float32"),
    "cupy-float64": functools.partial(with_cupy, dtype="float64"),
}


def main():
    engine = sys.argv[1]
    module = importlib.import_module(engine.split("-")[0])
    mnist(sys.argv[2])
    for line in sys.stdin:
        request = json.loads(line)
        times, start, window = [], time.perf_counter(), request["window"]
        for i, loss in enumerate(ENGINES[engine](tuple(request["layers"]), request["iterations"]), 1):
            if i % window == 0:
                loss = float(loss)  # waits for a GPU
                times.append((time.perf_counter() - start) / window)
                start = time.perf_counter()
        print(json.dumps({
            "engine": engine, "version": module.__version__, "loss": float(loss),
            "median_iteration_seconds": float(np.median(times[1:])),
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }), flush=True)


if __name__ == "__main__":
    main()
