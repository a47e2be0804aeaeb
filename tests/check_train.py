#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every objective beside transformers: its batches' loss with the same weights, and what it leaves behind, loaded with its
tokenizer: the same loss on the same text. Skipped (77) without torch and transformers."""
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import torch
    import torch.nn.functional as F
    import transformers as tr
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
tr.logging.set_verbosity_error()
tr.logging.disable_progress_bar()
socle = os.environ["SOCLE"]
build = os.path.dirname(os.path.abspath(socle))
failed = passed = 0


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(("ok   " if ok else "FAIL ") + name, detail)


def near(a, b, tolerance=1e-5):
    return abs(a - b) <= tolerance * max(1, abs(b))


def rows(ids, start):
    return [torch.tensor([ids[a:b]]) for a, b in zip(start, start[1:])]


def loss_of_batch(folder, cls):
    """The mean cross entropy of the labels, each sequence by itself, without padding."""
    b = json.load(open(os.path.join(folder, "batch.json")))
    model = cls.from_pretrained(folder).eval()
    with torch.no_grad():
        if b["source_ids"]:
            pairs = zip(rows(b["source_ids"], b["source_start"]), rows(b["ids"], b["start"]))
            logits = [model(input_ids=s, decoder_input_ids=t).logits[0] for s, t in pairs if t.numel()]
        else:
            logits = [model(input_ids=t).logits[0] for t in rows(b["ids"], b["start"]) if t.numel()]
    logits = torch.cat(logits)
    if b["wanted"]:
        logits = logits[torch.tensor(b["wanted"])]
    labels = torch.tensor(b["labels"])
    counted = labels >= 0
    right = (logits.argmax(-1) == labels)[counted].double().mean().item()
    return F.cross_entropy(logits[counted].double(), labels[counted]).item(), right, b


def batches(where):
    classes = {"causal": tr.GPT2LMHeadModel, "mlm": tr.BertForMaskedLM, "span": tr.T5ForConditionalGeneration,
               "denoise": tr.BartForConditionalGeneration, "seq2seq": tr.MarianMTModel}
    p = subprocess.run([os.path.join(build, "test_objectives")], env={**os.environ, "SOCLE_BATCHES": where},
                       capture_output=True, timeout=300)
    check("batches are written", p.returncode == 0, p.stderr.decode()[-400:] if p.returncode else "")
    for name, cls in classes.items():
        loss, right, b = loss_of_batch(os.path.join(where, name), cls)
        check(name, near(loss, b["loss"]) and near(right, b["accuracy"]), f"loss {b['loss']:.7f}, transformers' {loss:.7f}")


BERT = {"model_type": "bert", "vocab_size": 9, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 2}
GPT2 = {"model_type": "gpt2", "vocab_size": 9, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
MARIAN = {"model_type": "marian", "vocab_size": 9, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
          "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
          "max_position_embeddings": 64, "activation_function": "relu", "decoder_start_token_id": 0,
          "scale_embedding": True}


def train(where, name, config, text, *args, suffix="jsonl"):
    """A short run; its folder and the last evaluation."""
    path = lambda x: os.path.join(where, f"{name}.{x}")
    json.dump(config, open(path("json"), "w"))
    open(path(suffix), "w").write(text)
    subprocess.run([socle, "train", "--config", path("json"), "--data", path(suffix), "--eval-data", path(suffix), "--out",
                    path("run"), "--steps", "20", "--batch", "16", "--lr", "3e-3", "--log-every", "1", "--quiet", *args],
                   check=True, timeout=300)
    lines = [json.loads(x) for x in open(os.path.join(path("run"), "metrics.jsonl"))]
    return path("run"), [x for x in lines if "eval_loss" in x][-1]


def word(r, letters="abcdefgh", lo=3, hi=12):
    return "".join(r.choice(letters) for _ in range(r.randint(lo, hi)))


def same_ids(name, folder, tokenizer, texts):
    for text in texts:
        mine = json.loads(subprocess.run([socle, "tokenize", folder], check=True, input=text.encode(),
                                         capture_output=True).stdout)
        check(f"{name}: ids of {text!r}", mine == tokenizer(text)["input_ids"], (mine, tokenizer(text)["input_ids"]))


def classes(where):
    r = random.Random(1)
    data = [(word(r, "abcd"), "low") if r.random() < .5 else (word(r, "efgh"), "high") for _ in range(100)]
    text = "".join(json.dumps({"text": t, "label": l}) + "\n" for t, l in data)
    run, got = train(where, "classify", BERT, text, "--objective", "classify", "--alphabet", "chars")
    model, tok = tr.AutoModelForSequenceClassification.from_pretrained(run).eval(), tr.AutoTokenizer.from_pretrained(run)
    check("classify: labels", model.config.id2label == {0: "high", 1: "low"}, model.config.id2label)
    with torch.no_grad():
        logits = torch.cat([model(**tok(t, return_tensors="pt", return_token_type_ids=False)).logits for t, _ in data])
    labels = torch.tensor([model.config.label2id[l] for _, l in data])
    loss, right = F.cross_entropy(logits, labels).item(), (logits.argmax(-1) == labels).double().mean().item()
    check("classify", near(got["eval_loss"], loss) and near(got["eval_accuracy"], right), (got["eval_loss"], loss))
    same_ids("classify", run, tok, ["abc", "a z", "hé"])


def numbers(where):
    r = random.Random(2)
    data = [(t := word(r, "ab"), t.count("a") / len(t)) for _ in range(100)]
    text = "text\tscore\n" + "".join(f"{t}\t{x:.6f}\n" for t, x in data)
    run, got = train(where, "regress", BERT, text, "--objective", "regress", "--alphabet", "chars", suffix="tsv")
    model, tok = tr.AutoModelForSequenceClassification.from_pretrained(run).eval(), tr.AutoTokenizer.from_pretrained(run)
    with torch.no_grad():
        y = torch.cat([model(**tok(t, return_tensors="pt", return_token_type_ids=False)).logits[0] for t, _ in data])
    x = torch.tensor([round(v, 6) for _, v in data])
    pearson = torch.corrcoef(torch.stack([x, y]).double())[0, 1].item()
    check("regress", near(got["eval_loss"], F.mse_loss(y, x).item()) and near(got["eval_pearson"], pearson, 1e-4) and
          model.config.problem_type == "regression", (got["eval_loss"], F.mse_loss(y, x).item(), pearson))


def vectors(where):
    r = random.Random(3)
    data = [(w := word(r), "".join(reversed(w)), word(r)) for _ in range(100)]
    text = "".join(json.dumps(dict(zip(("anchor", "positive", "negative"), x))) + "\n" for x in data)
    for name, config, pooled in (("bert", BERT, lambda h: h.mean(1)), ("gpt2", GPT2, lambda h: h[:, -1])):
        run, got = train(where, name + "_vectors", config, text, "--objective", "contrastive", "--alphabet", "chars")
        model, tok = tr.AutoModel.from_pretrained(run).eval(), tr.AutoTokenizer.from_pretrained(run)
        with torch.no_grad():
            v = [torch.stack([F.normalize(pooled(model(input_ids=tok(t, return_tensors="pt").input_ids).last_hidden_state), dim=-1)[0]
                              for t in column]) for column in zip(*data)]
        loss = 0
        for i in range(0, len(data), 16):
            a, others = v[0][i:i + 16], torch.cat([v[1][i:i + 16], v[2][i:i + 16]])
            loss += F.cross_entropy(20 * a @ others.T, torch.arange(len(a)), reduction="sum").item()
        check(f"contrastive {name}", near(got["eval_loss"], loss / len(data)), (got["eval_loss"], loss / len(data)))
        file = os.path.join(where, name + ".vectors.jsonl")
        subprocess.run([socle, "embed", run, "-o", file], check=True, input=data[0][0].encode(), capture_output=True)
        mine = json.loads(open(file).readline())
        mine = next(x for x in mine.values() if isinstance(x, list)) if isinstance(mine, dict) else mine
        off = (torch.tensor(mine) - v[0][0]).abs().max().item()
        check(f"contrastive {name}: socle embed", off < 1e-4, off)
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            print("     sentence-transformers is not there")
            continue
        theirs = torch.tensor(SentenceTransformer(run, device="cpu").encode([x[0] for x in data[:4]]))
        check(f"contrastive {name}: sentence-transformers", (theirs - v[0][:4]).abs().max() < 1e-4)


def pairs(where):
    r = random.Random(4)
    data = [(w := word(r), w[::-1]) for _ in range(100)]
    text = "".join(json.dumps({"source": a, "target": b}) + "\n" for a, b in data)
    run, got = train(where, "seq2seq", MARIAN, text, "--alphabet", "chars", "--label-smoothing", "0.1", "--schedule", "noam",
                     "--lr", "1")
    model, tok = tr.MarianMTModel.from_pretrained(run).eval(), tr.PreTrainedTokenizerFast.from_pretrained(run)
    loss = count = 0
    with torch.no_grad():
        for a, b in data:
            labels = tok(b, return_tensors="pt").input_ids
            loss += model(input_ids=tok(a, return_tensors="pt").input_ids, labels=labels).loss.item() * labels.numel()
            count += labels.numel()
    check("seq2seq", near(got["eval_loss"], loss / count), (got["eval_loss"], loss / count))


def symbols(where):
    r = random.Random(5)
    proteins = ["".join(r.choice("ACDEFGHIKLMNPQRSTVWY") for _ in range(r.randint(20, 40))) for _ in range(40)]
    text = "".join(f">p{i}\n{p[:20]}\n{p[20:]}\n" for i, p in enumerate(proteins))
    run, got = train(where, "protein", GPT2, text, "--alphabet", "protein", "--length", "32", suffix="fasta")
    model, tok = tr.AutoModelForCausalLM.from_pretrained(run).eval(), tr.AutoTokenizer.from_pretrained(run)
    ids = [i for p in proteins for i in tok(p)["input_ids"] + [tok.eos_token_id]]
    losses = []
    with torch.no_grad():
        for i in range(0, len(ids) - 32, 32):
            logits = model(input_ids=torch.tensor([ids[i:i + 32]])).logits[0]
            losses.append(F.cross_entropy(logits, torch.tensor(ids[i + 1:i + 33])).item())
    mean = sum(losses) / len(losses)
    check("causal, proteins", near(got["eval_loss"], mean), (got["eval_loss"], mean))
    same_ids("protein", run, tok, ["MKV*", "mkv"])
    check("protein: decoded", tok.decode(tok("MKVA")["input_ids"]) == "MKVA", tok.decode(tok("MKVA")["input_ids"]))
    games = "e2e4 e7e5 g1f3 1-0\n" * 20
    run, _ = train(where, "chess", GPT2, games, "--alphabet", "chess", "--length", "8", "--pack", suffix="txt")
    same_ids("chess", run, tr.AutoTokenizer.from_pretrained(run), ["e2e4 e7e5", "a7a8q *", "e9e4"])
    run, _ = train(where, "bytes", GPT2, "héllo wörld, bytes\n" * 40, "--alphabet", "bytes", "--length", "8", suffix="txt")
    tok = tr.AutoTokenizer.from_pretrained(run)
    same_ids("bytes", run, tok, ["héllo  wörld\n", "\t가나"])
    check("bytes: decoded", tok.decode(tok("가 é")["input_ids"]) == "가 é")


with tempfile.TemporaryDirectory() as where:
    for part in (batches, classes, numbers, vectors, pairs, symbols):
        part(where)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
