#!/usr/bin/env python3
"""TRL's SFTTrainer on two processes (gloo, CPU): started by make_golden.py with torchrun, writes <run>.json of RUNS into the folder given."""
import os
import sys
from pathlib import Path

import torch
import torch.distributed

from make.files import write_json
from make.models import make_model
from make.rows import make_rows, make_tokenizer
from make.trl_runs import TUTORIAL, order_of, train, without_times

# Without evaluation: over two processes TRL weights some of its batches twice.
RUNS = {
    # 49 rows: one is left for the last batch of an epoch, which is filled up with seven of the first
    "two-ranks": ("input_ids", dict(eval_strategy="no", gradient_accumulation_steps=3, learning_rate=1e-3, per_device_train_batch_size=4)),
    # nine are left: rank 1 lacks one of them
    "two-ranks-labels": ("labels", dict(
        eval_strategy="no", gradient_accumulation_steps=2, learning_rate=1e-3, per_device_train_batch_size=5, max_steps=7,
        logging_steps=2, weight_decay=0.01, lr_scheduler_type="linear", warmup_steps=2, seed=9,
    )),
}

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
folder = Path(sys.argv[1])
own = Path(f"rank-{os.environ['RANK']}")
own.mkdir(exist_ok=True)
os.chdir(own)
rows, evaluation = make_rows()
tokenizer = make_tokenizer(rows)
for name, (columns, changes) in RUNS.items():
    settings = {**TUTORIAL, **changes}
    trainer, batches = train(make_model("tiny"), tokenizer, columns, settings, rows, evaluation)
    orders = [None] * trainer.accelerator.num_processes
    torch.distributed.all_gather_object(orders, order_of(trainer, batches))
    if trainer.is_world_process_zero():
        write_json(folder / f"{name}.json", {
            "columns": columns,
            "settings": settings,
            "prepared": [{"input_ids": list(row["input_ids"]), "labels": list(row["labels"])} for row in trainer.train_dataset],
            "orders": orders,
            "log_history": [without_times(row) for row in trainer.state.log_history],
        })
torch.distributed.destroy_process_group()
