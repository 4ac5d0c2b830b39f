#!/usr/bin/env python3
"""Serves a network with PyTorch on the CPU, for cmd/load: POST /v1/predict takes {"rows":[[…],…]}
and answers as clgrad serve does. Starlette on uvicorn, with uvloop, httptools and ujson.

usage: peer.py MODEL.npz PORT WORKERS THREADS

MODEL.npz is of clgrad export --format npz. Each of the WORKERS processes computes with THREADS
threads.
"""
import sys

import numpy as np
import torch
import ujson
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

MODEL, PORT, WORKERS, THREADS = sys.argv[1], *map(int, sys.argv[2:5])
torch.set_num_threads(THREADS)


def load(path):
    arrays = np.load(path)
    layers = []
    for i in range(0, 2 * sum(name.endswith(".weight") for name in arrays.files), 2):
        weight, bias = torch.tensor(arrays[f"{i}.weight"]), torch.tensor(arrays[f"{i}.bias"])
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data, linear.bias.data = weight, bias
        layers += [linear, torch.nn.ReLU()]
    if len(arrays["shift"]):  # into the first layer: one operation less for each request
        shift, factor = torch.tensor(arrays["shift"]), torch.tensor(arrays["factor"])
        first = layers[0]
        weight = first.weight.data.double() * factor
        first.bias.data -= (weight * shift).sum(1).float()
        first.weight.data = weight.float().contiguous()
    net = torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(1)).eval()
    return torch.jit.freeze(torch.jit.script(net)), [str(c) for c in arrays["classes"]]


net, classes = load(MODEL)


async def predict(request):
    x = torch.tensor(ujson.loads(await request.body())["rows"], dtype=torch.float32)
    with torch.inference_mode():
        probability, index = net(x).max(1)
    answer = [
        {"label": classes[k], "class": k, "probability": p}
        for k, p in zip(index.tolist(), probability.tolist())
    ]
    return Response(ujson.dumps({"predictions": answer}), media_type="application/json")


app = Starlette(routes=[Route("/v1/predict", predict, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run("peer:app" if WORKERS > 1 else app, host="127.0.0.1", port=PORT, workers=WORKERS, access_log=False,
                log_level="warning", loop="uvloop", http="httptools", app_dir=sys.path[0])
