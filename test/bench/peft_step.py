"""A training step of PyTorch PEFT, for comparison with `npm run bench -- step`: a Llama with random weights, LoRA of rank 16 on
all seven projections, AdamW; and the product dy · Wᵀ alone, for `-- gradient`. Needs torch, transformers and peft, and a GPU.

    python3 test/bench/peft_step.py [--shape hidden,ffn,layers,heads,kvHeads,vocabulary,batch,tokens] [--product N,in,out]
        [--precision float32 tf32 bfloat16] [--json FILE]
"""

import argparse
import json
import statistics
import time

import torch

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANK = 16


def milliseconds(run, rounds, warm_up=3, times=1):
    """The median of `rounds` measurements, of `times` runs each, of one run."""
    found = []
    for i in range(warm_up + rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(times):
            run()
        torch.cuda.synchronize()
        if i >= warm_up:
            found.append((time.perf_counter() - start) * 1e3 / times)
    return round(statistics.median(found), 4)


def measure_step(shape, dtype, rounds):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, ffn, layers, heads, kv_heads, vocabulary, batch, tokens = shape
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=ffn,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
    )
    base = LlamaForCausalLM(config).to("cuda", dtype)
    model = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=PROJECTIONS))
    model.train()
    ids = torch.randint(0, vocabulary, (batch, tokens), device="cuda")
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)

    def forward():
        with torch.no_grad():
            model(input_ids=ids, labels=ids)

    def step():
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    torch.cuda.reset_peak_memory_stats()
    times = {"forwardMs": milliseconds(forward, rounds), "stepMs": milliseconds(step, rounds)}
    return {**times, "peakBytes": torch.cuda.max_memory_allocated()}


def measure_product(sizes, dtype, rounds):
    rows, inputs, out = sizes
    dy = torch.rand(rows, out, device="cuda", dtype=dtype)
    weights = torch.rand(inputs, out, device="cuda", dtype=dtype)
    return {"dxMs": milliseconds(lambda: dy @ weights.T, rounds, times=50)}


def integers(text):
    return [int(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", type=integers, action="append", default=[])
    parser.add_argument("--product", type=integers, action="append", default=[])
    parser.add_argument("--precision", nargs="+", default=["float32", "tf32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json")
    options = parser.parse_args()
    results = []
    for measure, shapes in ((measure_step, options.shape), (measure_product, options.product)):
        for shape in shapes:
            row = {"shape": ",".join(map(str, shape))}
            for precision in options.precision:
                torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
                dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
                row[precision] = measure(shape, dtype, options.rounds)
                print(row["shape"], precision, row[precision], flush=True)
                torch.cuda.empty_cache()
            results.append(row)
    if options.json:
        machine = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
        suite = "PyTorch PEFT, for comparison"
        with open(options.json, "w") as file:
            json.dump({"suite": suite, "machine": machine, "rank": RANK, "rounds": options.rounds, "results": results}, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
