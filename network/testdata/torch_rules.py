#!/usr/bin/env python3
"""PyTorch's own parameters after each of ten steps of its optimizers, for torch_test.go.

usage: /usr/bin/python3 torch_rules.py > torch_rules.json

The network is 4-3-3 in float64, the batch 6 rows. Data and initial parameters are
multiples of 1/64, so that they are the same in every program. The numbers that are
checked in were made with PyTorch 1.13.0a0, Debian 12's python3-torch, which
"./cmd/install-deps.sh peers" installs. Parameters are listed as PyTorch has them: for
each layer the weight, outputs by inputs, and then the bias.
"""
import json

import torch

SIZES = [4, 3, 3]
ROWS = 6
STEPS = 10


def sixty_fourths(n, state=1):
    """n numbers between -1 and 1."""
    numbers = []
    for _ in range(n):
        state = (1103515245 * state + 12345) % 2**31
        numbers.append(((state >> 16) % 129 - 64) / 64)
    return numbers


def new_network(values):
    net = torch.nn.Sequential(torch.nn.Linear(SIZES[0], SIZES[1]), torch.nn.ReLU(), torch.nn.Linear(SIZES[1], SIZES[2]))
    net = net.double()
    at = 0
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.tensor(values[at:at + p.numel()], dtype=torch.float64).reshape(p.shape))
            at += p.numel()
    return net


def run(optimizer, options, scheduler, schedule):
    net = new_network(INITIAL)
    rule = getattr(torch.optim, optimizer)(net.parameters(), **options)
    plan = getattr(torch.optim.lr_scheduler, scheduler)(rule, **schedule) if scheduler else None
    x, y = torch.tensor(INPUTS, dtype=torch.float64).reshape(ROWS, -1), torch.tensor(LABELS)
    rates, steps = [], []
    for _ in range(STEPS):
        rates.append(rule.param_groups[0]["lr"])
        rule.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        rule.step()
        if plan:
            plan.step()
        steps.append([v for p in net.parameters() for v in p.detach().flatten().tolist()])
    return {"optimizer": optimizer, "options": options, "scheduler": scheduler, "schedule": schedule,
            "rates": rates, "parameters": steps}


PARAMETERS = sum((n + 1) * p for n, p in zip(SIZES, SIZES[1:]))
INITIAL = sixty_fourths(PARAMETERS, 1)
INPUTS = sixty_fourths(ROWS * SIZES[0], 2)
LABELS = [i % SIZES[-1] for i in range(ROWS)]

CASES = [
    ("SGD", {"lr": 0.5}, "", {}),
    ("SGD", {"lr": 0.5, "weight_decay": 0.125}, "", {}),
    ("SGD", {"lr": 0.25, "momentum": 0.9}, "", {}),
    ("SGD", {"lr": 0.25, "momentum": 0.9, "weight_decay": 0.125}, "StepLR", {"step_size": 3, "gamma": 0.5}),
    ("SGD", {"lr": 0.25, "momentum": 0.9, "nesterov": True, "weight_decay": 0.125}, "", {}),
    ("Adam", {"lr": 0.05}, "", {}),
    ("Adam", {"lr": 0.05, "betas": [0.8, 0.95], "eps": 0.001, "weight_decay": 0.125}, "", {}),
    ("AdamW", {"lr": 0.05}, "CosineAnnealingLR", {"T_max": 10}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.5}, "StepLR", {"step_size": 4, "gamma": 0.1}),
]

cases = [run(*case) for case in CASES]
print('{"torch": %s, "sizes": %s, "inputs": %s, "labels": %s, "initial": %s, "cases": [' % tuple(
    json.dumps(v) for v in (torch.__version__, SIZES, INPUTS, LABELS, INITIAL)))
for i, case in enumerate(cases):
    steps = ",\n".join(json.dumps(s) for s in case.pop("parameters"))
    print("%s, \"parameters\": [\n%s]}%s" % (json.dumps(case)[:-1], steps, "," if i < len(cases) - 1 else ""))
print("]}")
