#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trajectories of PyTorch's optimisers that tests/test_train.c follows: writes optim.safetensors beside this file.
Needs torch and safetensors."""
import os

import torch
from safetensors.torch import save_file

torch.manual_seed(11)
STEPS, SHAPES = 4, {"matrix": (5, 7), "vector": (9,)}
out = {}
for shape_name, shape in SHAPES.items():
    initial = torch.randn(shape)
    grads = torch.randn((STEPS, *shape)) * torch.rand(shape)
    out[f"{shape_name}.initial"], out[f"{shape_name}.grads"] = initial, grads

    def follow(name, make):
        p = torch.nn.Parameter(initial.clone())
        optimizer, steps = make([p]), []
        for g in grads:
            p.grad = g.clone()
            optimizer.step()
            steps.append(p.detach().clone())
        out[f"{shape_name}.{name}"] = torch.stack(steps)

    follow("adamw", lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1))
    follow("sgd", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01))
    follow("adafactor", lambda p: torch.optim.Adafactor(p, lr=1e-2, weight_decay=0.1))

    # Lion is not torch's: its four lines (Chen et al. 2023, program 1).
    p, m, steps = initial.double(), torch.zeros(shape, dtype=torch.float64), []
    for g in grads.double():
        p = p - 1e-3 * ((0.9 * m + 0.1 * g).sign() + 0.1 * p)
        m = 0.99 * m + 0.01 * g
        steps.append(p.float())
    out[f"{shape_name}.lion"] = torch.stack(steps)

save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "optim.safetensors"))
