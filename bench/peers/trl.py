#!/usr/bin/env python3
"""Measures TRL's SFTTrainer and prints one JSON line.

  python bench/peers/trl.py --rows rows.jsonl --model folder --precision amp --batch 2 --accumulation 8 --steps 3

Rows are {"input_ids": [...], "labels": [...]} per line; TRL shuffles them by the seed. Nothing is written but the line on
standard output. Versions: test/golden/requirements.txt. Linux only (memory is read from /proc).

Adam's moments exist from the first optimizer step on: the memory peak of a run with fewer than two steps is too low. On a
shared machine `cpuSeconds` (of all threads) tells more than `seconds`.
"""
import json
import signal
import sys
import time
from pathlib import Path

# This file is called trl.py: with its folder in the path, `import trl` would find it instead of the package.
sys.path[0] = str(Path(__file__).resolve().parent / "common")
from peer import (  # noqa: E402
    MemorySampler, load_model, memory_fields, offline, read_rows, resident_bytes, training_fields, training_parser, versions,
)


def parse_arguments():
    parser = training_parser(__doc__, checkpointing="on")
    parser.add_argument("--loss-type", choices=("chunked_nll", "nll"), default="chunked_nll")
    parser.add_argument("--schedule", default="constant", help="lr_scheduler_type")
    parser.add_argument("--max-seconds", type=int, default=3600, help="stop training after so long and report the finished steps")
    arguments = parser.parse_args()
    if min(arguments.batch, arguments.accumulation, arguments.steps, arguments.max_seconds) < 1:
        parser.error("--batch, --accumulation, --steps and --max-seconds must be at least 1")
    return arguments


def make_tokenizer():
    """SFTTrainer wants one for the pad id; the rows are ids already."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>")


def make_trainer(arguments, model, output_dir):
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    wait = torch.cuda.synchronize if arguments.device == "cuda" else lambda: None

    class Clock(TrainerCallback):
        """From the start of an update to the end of its optimizer step; logging lies outside. CPU time is of all threads."""

        def __init__(self):
            self.steps = []

        def on_step_begin(self, args, state, control, **kwargs):
            self.current = {"tokens": 0, "paddedTokens": 0, "supervised": 0}
            wait()
            self.start, self.start_cpu = time.perf_counter(), time.process_time()

        def on_step_end(self, args, state, control, **kwargs):
            wait()
            seconds, cpu_seconds = time.perf_counter() - self.start, time.process_time() - self.start_cpu
            self.steps.append({"seconds": seconds, "cpuSeconds": cpu_seconds, **self.current})

    class CountingTrainer(SFTTrainer):
        def training_step(self, model, inputs, *args, **kwargs):
            clock.current["tokens"] += int(inputs["attention_mask"].sum())
            clock.current["paddedTokens"] += inputs["input_ids"].numel()
            clock.current["supervised"] += int((inputs["labels"][:, 1:] != -100).sum())
            return super().training_step(model, inputs, *args, **kwargs)

    clock = Clock()
    config = SFTConfig(
        output_dir=output_dir, use_cpu=arguments.device == "cpu", bf16=arguments.precision != "fp32", loss_type=arguments.loss_type,
        gradient_checkpointing=arguments.checkpointing == "on", per_device_train_batch_size=arguments.batch,
        gradient_accumulation_steps=arguments.accumulation, max_steps=arguments.steps, learning_rate=arguments.learning_rate,
        lr_scheduler_type=arguments.schedule, max_length=None, seed=arguments.seed, logging_steps=1,
        save_strategy="no", report_to="none", disable_tqdm=True,
    )
    trainer = CountingTrainer(
        model=model, args=config, processing_class=make_tokenizer(), train_dataset=Dataset.from_list(read_rows(arguments.rows)),
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to standard output
    return trainer, clock


def on_alarm(signum, frame):
    raise TimeoutError


def main():
    arguments = parse_arguments()
    scratch = offline(arguments.device)
    import torch
    import trl  # imported now, so that its code counts as held before the model was loaded
    from trl import SFTTrainer

    torch.set_num_threads(arguments.threads)
    before = resident_bytes()
    sampler = MemorySampler()
    sampler.start()
    trainer, clock = make_trainer(arguments, load_model(arguments), scratch.name)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(arguments.max_seconds)
    timed_out = False
    try:
        trainer.train()
    except TimeoutError:
        timed_out = True
    signal.alarm(0)
    peak = sampler.stop()

    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    print(json.dumps({
        "peer": "trl",
        "timedOut": timed_out,
        **training_fields(arguments, clock.steps, losses),
        **memory_fields(arguments, before, peak),
        "versions": versions("torch", "transformers", "trl", "accelerate"),
    }))


if __name__ == "__main__":
    main()
