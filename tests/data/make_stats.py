#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scipy and statsmodels say of shares, means and differences: writes stats.json beside this file for
tests/test_stats.c."""
import json
import os

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

rng = np.random.default_rng(7)
out = {"quantile": [], "wilson": [], "mcnemar": [], "permutation": [], "bootstrap": [], "correct": []}
for p in [1e-300, 1e-12, 1e-4, 0.02425, 0.3, 0.5, 0.7, 0.975, 0.9999, 1 - 1e-12]:
    out["quantile"].append([p, stats.norm.ppf(p)])
for k, n, c in [(0, 10, 0.95), (10, 10, 0.95), (1, 1, 0.9), (7, 13, 0.99), (130, 1000, 0.95), (999, 1000, 0.8)]:
    ci = stats.binomtest(k, n).proportion_ci(c, method="wilson")
    out["wilson"].append([k, n, c, ci.low, ci.high])
for b, c in [(0, 0), (0, 5), (3, 12), (40, 60), (7, 7), (500, 431), (4000, 3900), (6000, 5800)]:
    if b + c > 10000:
        off = abs(b - c) - 1
        out["mcnemar"].append([b, c, stats.chi2.sf(off * off / (b + c), 1)])
    else:
        out["mcnemar"].append([b, c, stats.binomtest(b, b + c).pvalue if b + c else 1.0])


def mean_of(x, axis):
    return np.mean(x, axis=axis)


for n, shift, step in [(6, 1.0, 0), (12, 0.4, 0), (15, 0.3, 0.5), (60, 0.25, 0)]:
    a, b = rng.normal(shift, 1, n), rng.normal(0, 1, n)
    if step:  # many equal differences
        a, b = np.round(a / step) * step, np.round(b / step) * step
    exact = n <= 20
    r = stats.permutation_test((a - b,), mean_of, permutation_type="samples", alternative="two-sided", vectorized=True,
                               n_resamples=np.inf if exact else 200000, rng=1)
    out["permutation"].append({"a": a.tolist(), "b": b.tolist(), "exact": exact, "p": float(r.pvalue)})
for n, kind in [(40, "normal"), (80, "skewed"), (200, "right")]:
    x = {"normal": rng.normal(2, 3, n), "skewed": rng.exponential(1.5, n), "right": (rng.random(n) < 0.2) * 1.0}[kind]
    case = {"x": x.tolist()}
    for method in ("percentile", "bca"):
        r = stats.bootstrap((x,), np.mean, confidence_level=0.9, n_resamples=100000, method=method, rng=2)
        case[method] = [float(r.confidence_interval.low), float(r.confidence_interval.high)]
    out["bootstrap"].append(case)
for n in (1, 2, 5, 12):
    p = np.round(rng.random(n) ** 3, 4)
    if n > 4:
        p[1] = p[3]
    out["correct"].append({"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist(),
                           "bonferroni": multipletests(p, method="bonferroni")[1].tolist(),
                           "fdr": stats.false_discovery_control(p).tolist()})
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "stats.json"), "w", encoding="utf-8") as f:
    json.dump(out, f, indent=None, separators=(",", ":"))
    f.write("\n")
