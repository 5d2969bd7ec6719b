#!/usr/bin/env python3
"""Writes the golden files beside this script with transformers and TRL; README.md says what each holds.

Deterministic: one thread, fixed seeds, measured times set to zero. `git diff` after a run shows whether anything changed.
"""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
scratch = tempfile.TemporaryDirectory()  # caches of datasets and the trainers' own output end up here and vanish
os.environ["HF_HOME"] = scratch.name
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from pathlib import Path

import torch

from make.files import write_versions
from make.forward import write_forward
from make.generation import write_generation
from make.models import SHAPES, make_model, write_model
from make.trajectory import write_trajectory
from make.trl_runs import write_trl_runs

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
golden = Path(__file__).resolve().parent
os.chdir(scratch.name)  # relative output folders in TRL's files, whatever the machine

write_versions(golden)
for name in SHAPES:
    model = make_model(name)
    write_model(golden / name, name, model)
    write_forward(golden / name, model)
    write_generation(golden / name, model)
write_trajectory(golden / "tiny", make_model("tiny"))
write_trl_runs(golden / "trl", lambda: make_model("tiny"))
torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
subprocess.run([*torchrun, golden / "make_trl_ranks.py", golden / "trl"], check=True)
