#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trajectories of PyTorch's optimisers that tests/test_optimizer.c follows: writes optim.safetensors beside this file.
Needs torch and safetensors."""
import os

import torch
from safetensors.torch import save_file

torch.manual_seed(11)
STEPS, SHAPES = 4, {"matrix": (5, 7), "vector": (9,), "tall": (12, 5)}
out = {}


def newton_schulz(x):
    """The five steps of torch.optim.Muon, which rounds to bf16 in between, in f64."""
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def muon(p, grads, lr, decay, scale):
    buf, steps = torch.zeros_like(p, dtype=torch.float64), []
    p = p.double()
    for g in grads.double():
        buf = 0.95 * buf + 0.05 * g
        p = p * (1 - lr * decay) - lr * scale * newton_schulz(0.05 * g + 0.95 * buf)
        steps.append(p.float())
    return torch.stack(steps)


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

    # The average of the weights along AdamW's steps.
    averaged = torch.optim.swa_utils.AveragedModel(
        torch.nn.ParameterList([initial.clone()]), multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    steps = []
    for at in out[f"{shape_name}.adamw"]:
        averaged.update_parameters(torch.nn.ParameterList([at]))
        steps.append(next(averaged.module.parameters()).detach().clone())
    out[f"{shape_name}.ema"] = torch.stack(steps)

    if len(shape) == 2:
        rows, cols = shape
        scales = {"original": max(1, rows / cols) ** 0.5, "match_rms_adamw": 0.2 * max(shape) ** 0.5,
                  "spectral_unclamped": (rows / cols) ** 0.5}
        for name, scale in scales.items():
            out[f"{shape_name}.muon_{name}"] = muon(initial, grads, 0.02, 0.1, scale)
            adjust = None if name == "original" else name
            follow(f"muon_{name}_bf16",
                   lambda p, a=adjust: torch.optim.Muon(p, lr=0.02, weight_decay=0.1, adjust_lr_fn=a))
            drift = (out[f"{shape_name}.muon_{name}"] - out[f"{shape_name}.muon_{name}_bf16"]).abs().max()
            assert drift < 0.01, (shape_name, name, drift)

save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "optim.safetensors"))
