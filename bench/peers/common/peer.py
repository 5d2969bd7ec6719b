"""What the peers' programs share: options, rows, memory, results, and the environment that keeps them offline. Nothing of torch is imported
before `offline`."""
import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path

sys.dont_write_bytecode = True
PAGE = os.sysconf("SC_PAGE_SIZE")


def parser_of(description):
    """With the options of every program."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="JSONL of {input_ids, labels}")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--attention", choices=("sdpa", "eager"), default="sdpa")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser


def training_parser(description, checkpointing):
    """With those of every program that trains; `checkpointing`: "on" or "off", what it does unless told."""
    parser = parser_of(description)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--accumulation", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps, the warm-up steps included")
    parser.add_argument("--warmup", type=int, default=1, help="first steps left out of the medians")
    parser.add_argument("--precision", choices=("amp", "bf16", "fp32"), default="amp", help="amp: float32 weights, bf16 autocast")
    parser.add_argument("--checkpointing", choices=("on", "off"), default=checkpointing)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=42)
    return parser


def load_model(arguments):
    import torch
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    return AutoModelForCausalLM.from_pretrained(arguments.model, dtype=dtype, attn_implementation=arguments.attention)


def offline(device):
    """Call before torch is imported. Returns a folder for scratch files, which goes with the process."""
    scratch = tempfile.TemporaryDirectory()
    os.environ |= {"HF_HOME": scratch.name, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return scratch


def read_rows(path):
    """Lines of {input_ids, labels}."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        row = json.loads(line)
        if len(row["input_ids"]) != len(row["labels"]):
            sys.exit(f"{path}:{number}: {len(row['input_ids'])} input_ids but {len(row['labels'])} labels; expected as many.")
        rows.append({"input_ids": row["input_ids"], "labels": row["labels"]})
    if not rows:
        sys.exit(f"{path} holds no rows.")
    return rows


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def peak_resident_bytes():
    """Of this program since its start: getrusage's number may hold what the parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def peak_device_bytes(device):
    """On a GPU what torch held there at most, else None."""
    import torch

    return torch.cuda.max_memory_allocated() if device == "cuda" else None


class MemorySampler(threading.Thread):
    """Largest resident set seen, looked at every 10 ms: unlike the kernel's count it can begin after imports."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = resident_bytes()
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.01):
            self.peak = max(self.peak, resident_bytes())

    def stop(self):
        self.done.set()
        self.join()
        return self.peak


def plain_settings(arguments):
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}


def versions(*names):
    return {name: version(name) for name in names}


def memory_fields(arguments, before, most):
    """Bytes: at most in all and on a GPU; at most and at the start, after imports."""
    return {
        "peakResidentBytes": peak_resident_bytes(),
        "peakMinusBaselineBytes": most - before,
        "peakDeviceBytes": peak_device_bytes(arguments.device),
        "baselineBytes": before,
    }


def training_fields(arguments, steps, losses):
    """Steps are {seconds, cpuSeconds, tokens, paddedTokens, supervised}; medians are of those after the warm-up."""
    timed = steps[arguments.warmup :] or steps
    median = lambda value: statistics.median(map(value, timed)) if timed else None
    return {
        "settings": plain_settings(arguments),
        "steps": steps,
        "losses": losses,
        "medianStepSeconds": median(lambda step: step["seconds"]),
        "tokensPerSecond": median(lambda step: step["tokens"] / step["seconds"]),
        "supervisedTokensPerSecond": median(lambda step: step["supervised"] / step["seconds"]),
    }
