"""What the peers' programs share: rows, memory, and the environment that keeps them offline. Nothing of torch is imported before `offline`."""
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

sys.dont_write_bytecode = True
PAGE = os.sysconf("SC_PAGE_SIZE")


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
