#!/usr/bin/env python3
"""The tutorial's job as it is done in Python, on rows of `gemmatune prepare`: TRL's SFTTrainer, transformers' generate.

  python tools/tutorial/trl.py train --model build/real-base --rows DIR/train.jsonl --eval-rows DIR/eval.jsonl --out build/trl [--precision amp]
  python tools/tutorial/trl.py train … --precision fp32 --exact-sums --stop-after 10 --golden test/golden/real/trl.json
  python tools/tutorial/trl.py evaluate --model build/trl --rows DIR/eval.jsonl --max-new-tokens 64 --out calls.jsonl

train: the tutorial's settings: text rows in its format, full sequence, max_length 512, 2 x 8, 5e-5, cosine, warm-up 0.03, evaluation every 10
updates, one epoch. Every update is logged, in OUT/log.jsonl as it comes, with the seconds since the one before. Gradient checkpointing is off: it
changes no number. A call that was stopped goes on from its newest checkpoint. `--stop-after` ends early on the schedule of the whole epoch.

evaluate: greedy calls, one row after the other as in the tutorial, in float32. A line of JSON each: {"text"}.
"""
import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

# This file is called trl.py: with its folder in the path, `import trl` would find it instead of the package.
sys.path.pop(0)
import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402
from transformers.trainer_utils import get_last_checkpoint  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402
from trl.trainer import sft_trainer  # noqa: E402

DEVELOPER = "You are a model that can do function calling with the following functions"


def read_rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def prompt_of(tokenizer, row):
    messages = [{"role": "developer", "content": DEVELOPER}, {"role": "user", "content": row["user_content"]}]
    return tokenizer.apply_chat_template(messages, tools=row["hf_tools"], tokenize=False, add_generation_prompt=True)


def text_of(tokenizer, row):
    """The tutorial's text: prompt by the chat template, the call as one JSON text."""
    call = f"<start_function_call>call:{row['tool_name']}{{args:<escape>{row['tool_arguments']}<escape>}}<end_function_call>"
    return prompt_of(tokenizer, row) + call + tokenizer.eos_token


def multiply_bfloat16_in_float32():
    """Without instructions for bfloat16 torch multiplies it number by number, ten times as slowly as float32. A bfloat16 product is, there as
    everywhere, the float32 sum of exact products, rounded once; so it is computed as the float32 product of the same numbers, rounded."""
    library = torch.library.Library("aten", "IMPL")

    def replace(name, product):
        def kernel(a, b):
            shape = (*a.shape[:-1], b.shape[-1])
            if a.dtype != torch.bfloat16:
                return product(a, b, out=torch.empty(shape, dtype=a.dtype))
            return product(a.float(), b.float(), out=torch.empty(shape)).bfloat16()

        library.impl(name, kernel, "CPU")

    replace("mm", torch.mm)
    replace("bmm", torch.bmm)
    return library


def sum_in_double():
    """torch's float32 log_softmax over 262,144 ids is off by 7e-5, all in one direction (tools/real-base/golden.py), and its float32 norm of the
    embedding's gradient is 1.1e-4 too small: both would hide what is compared."""
    functions = SimpleNamespace(**vars(torch.nn.functional))
    functions.log_softmax = lambda logits, dim: torch.log_softmax(logits.double(), dim)
    sft_trainer.F = functions
    torch._foreach_norm = lambda tensors, order: [torch.linalg.vector_norm(tensor, order, dtype=torch.float64).float() for tensor in tensors]


class Log(TrainerCallback):
    def __init__(self, path, stop_after):
        self.path, self.stop_after = path, stop_after

    def on_train_begin(self, *args, **kwargs):
        self.since = time.time(), time.process_time()

    def on_log(self, args, state, control, logs=None, **kwargs):
        now = time.time(), time.process_time()
        seconds, cpu_seconds = (round(b - a, 1) for a, b in zip(self.since, now))
        self.since = now
        with self.path.open("a") as file:
            file.write(json.dumps({**logs, "step": state.global_step, "seconds": seconds, "cpu_seconds": cpu_seconds}) + "\n")

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.stop_after:
            control.should_training_stop = control.should_save = True


def train(arguments):
    arguments.out.mkdir(parents=True, exist_ok=True)
    half = arguments.precision != "fp32"
    if half and not torch.cuda.is_available() and not torch.cpu._is_avx512_bf16_supported():
        print("bfloat16 products as float32 products of the same numbers, rounded once: this CPU has no instructions for them", file=sys.stderr)
        library = multiply_bfloat16_in_float32()  # noqa: F841: lives as long as its kernels are wanted
    if arguments.exact_sums:
        sum_in_double()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.bfloat16 if arguments.precision == "bf16" else torch.float32)

    def dataset(path):
        # Not by load_dataset: datasets would give every tool the parameters of all others.
        return Dataset.from_list([{"text": text_of(tokenizer, row)} for row in read_rows(path)])

    config = SFTConfig(
        output_dir=str(arguments.out), use_cpu=not torch.cuda.is_available(), bf16=half, gradient_checkpointing=False,
        max_length=512, packing=False, num_train_epochs=1, per_device_train_batch_size=2, per_device_eval_batch_size=2,
        gradient_accumulation_steps=8, learning_rate=5e-5, lr_scheduler_type="cosine", warmup_steps=0.03, logging_steps=1,
        eval_strategy="steps" if arguments.eval_rows else "no", eval_steps=10, save_strategy="steps", save_steps=arguments.save_steps,
        save_total_limit=1, report_to="none", seed=42, disable_tqdm=True,
    )
    trainer = SFTTrainer(model=model, args=config, processing_class=tokenizer, train_dataset=dataset(arguments.rows),
                         eval_dataset=dataset(arguments.eval_rows) if arguments.eval_rows else None,
                         callbacks=[Log(arguments.out / "log.jsonl", arguments.stop_after)])
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(arguments.out)))
    trainer.save_model(str(arguments.out))
    if arguments.golden:
        write_golden(arguments.golden, arguments.rows, trainer.state.log_history)


def write_golden(path, rows, log_history):
    """What test/real/training.test.ts compares: rows, the log; measured times are no golden values."""
    log = [{key: 0 if key.endswith(("_runtime", "_per_second")) else value for key, value in row.items()}
           for row in log_history if "train_runtime" not in row]
    path.write_text(json.dumps({"rows": hashlib.sha256(rows.read_bytes()).hexdigest(), "log_history": log}, indent=1) + "\n")


def evaluate(arguments):
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    ends = [tokenizer.convert_tokens_to_ids(token) for token in ("<eos>", "<start_function_response>", "<end_of_turn>")]
    rows = read_rows(arguments.rows)
    with arguments.out.open("w") as file:
        for i, row in enumerate(rows):
            asked = tokenizer(prompt_of(tokenizer, row), add_special_tokens=False, return_tensors="pt")
            out = model.generate(**asked, do_sample=False, top_k=None, top_p=None, max_new_tokens=arguments.max_new_tokens,
                                 eos_token_id=ends, pad_token_id=0)
            text = tokenizer.decode(out[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
            file.write(json.dumps({"text": text}) + "\n")
            print(f"{i + 1} of {len(rows)}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train")
    training.set_defaults(run=train)
    training.add_argument("--eval-rows", type=Path)
    training.add_argument("--precision", choices=("fp32", "amp", "bf16"), default="amp",
                          help="amp: float32 weights, products in bfloat16; bf16: all in bfloat16, as the tutorial's")
    training.add_argument("--exact-sums", action="store_true", help="log_softmax and gradient norm summed in double, for golden values")
    training.add_argument("--stop-after", type=int, default=0)
    training.add_argument("--save-steps", type=int, default=4)
    training.add_argument("--golden", type=Path)
    evaluation = commands.add_parser("evaluate")
    evaluation.set_defaults(run=evaluate)
    evaluation.add_argument("--max-new-tokens", type=int, default=128)
    for command in (training, evaluation):
        command.add_argument("--model", type=Path, required=True)
        command.add_argument("--rows", type=Path, required=True)
        command.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
