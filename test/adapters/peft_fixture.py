"""What PEFT computes, for the tests of src/adapters. Needs torch, transformers and peft; no GPU, no network.

    python3 test/adapters/peft_fixture.py
        writes test/adapters/fixtures/peft: a tiny random Llama (model/), two adapters of it (rslora/, plain/), and
        what PEFT computes with neither and with each (expected.json).

    rm -r test/adapters/fixtures/peft/ours; CELORA_WRITE_OURS=1 npx mocha test/adapters/peft_test.ts
    python3 test/adapters/peft_fixture.py --check test/adapters/fixtures/peft/ours
        writes an adapter of tfjs-celora's and the logits it computes, loads it in PEFT beside the same model, and
        prints how far PEFT's logits are from those in logits.json. Exit code 1 if by more than 1e-4.
"""

import argparse
import json
import os
import shutil
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

FIXTURE = Path(__file__).parent / "fixtures" / "peft"
BASE_NAME = "tiny-random-llama"
TOLERANCE = 1e-4


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def write_base() -> None:
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config).to(torch.float32)
    generator = seeded(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale, offset = (0.2, 1.0) if "norm" in name else (0.3, 0.0)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale + offset)
    model.save_pretrained(FIXTURE / "model")
    (FIXTURE / "model" / "generation_config.json").unlink(missing_ok=True)


def load_base() -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(FIXTURE / "model", dtype=torch.float32, attn_implementation="eager").eval()


def write_adapter(name: str, seed: int, **settings) -> None:
    config = LoraConfig(task_type="CAUSAL_LM", base_model_name_or_path=BASE_NAME, **settings)
    model = get_peft_model(load_base(), config)
    model.peft_config["default"].base_model_name_or_path = BASE_NAME
    generator = seeded(seed)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    # with an adapter of lm_head PEFT would save the whole of lm_head too
    model.save_pretrained(FIXTURE / name, save_embedding_layers=False)
    (FIXTURE / name / "README.md").unlink(missing_ok=True)


def logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits.float()


def as_json(values: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in values.flatten().tolist()]


def input_ids() -> torch.Tensor:
    return torch.randint(0, 64, (2, 12), generator=seeded(7))


def write_fixture() -> None:
    for name in ["model", "rslora", "plain"]:
        shutil.rmtree(FIXTURE / name, ignore_errors=True)
    write_base()
    # ranks and alphas by the end of a name, by a regular expression, and of one module
    write_adapter(
        "rslora",
        seed=1,
        r=4,
        lora_alpha=6,
        use_rslora=True,
        lora_dropout=0.05,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        rank_pattern={"down_proj": 7, "^model.layers.0.self_attn.q_proj": 2, r"layers\.1\.self_attn\.(q|k)_proj": 1},
        alpha_pattern={"self_attn.v_proj": 3, r"layers\.\d+\.mlp\.(gate|up)_proj": 11, "down_proj": 2.5},
    )
    write_adapter("plain", seed=2, r=3, lora_alpha=5, target_modules=r".*\.(q|v)_proj|lm_head")
    ids = input_ids()
    expected = {"input_ids": ids.tolist(), "shape": [*ids.shape, 64], "base": as_json(logits(load_base(), ids))}
    for name in ["rslora", "plain"]:
        model = PeftModel.from_pretrained(load_base(), FIXTURE / name).eval()
        expected[name] = as_json(logits(model, ids))
    (FIXTURE / "expected.json").write_text(json.dumps(expected) + "\n")
    base = torch.tensor(expected["base"])
    for name in ["rslora", "plain"]:
        moved = (torch.tensor(expected[name]) - base).abs().max().item()
        print(f"{name}: the adapter moves logits of up to {base.abs().max().item():.3f} by up to {moved:.3f}")
    size = sum(path.stat().st_size for path in FIXTURE.rglob("*") if path.is_file())
    print(f"{FIXTURE}: {size} bytes")


def check(folder: Path) -> float:
    base = load_base()
    ids = input_ids()
    plain = logits(base, ids)
    model = PeftModel.from_pretrained(base, folder).eval()
    loaded = model.load_adapter(str(folder), adapter_name="default")
    problems = [*loaded.missing_keys, *loaded.unexpected_keys]
    if problems:
        sys.exit(f"PEFT misses or does not know: {', '.join(problems)}")
    theirs = logits(model, ids)
    ours = json.loads((folder / "logits.json").read_text())
    difference = (theirs.flatten() - torch.tensor(ours)).abs().max().item()
    moved = (theirs - plain).abs().max().item()
    print(f"the adapter moves logits by up to {moved:.4f}; PEFT's and ours differ by up to {difference:.2e}")
    return difference


if __name__ == "__main__":
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="FOLDER", type=Path)
    folder = parser.parse_args().check
    if folder is None:
        write_fixture()
    elif check(folder) > TOLERANCE:
        sys.exit(1)
