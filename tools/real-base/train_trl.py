#!/usr/bin/env python3
"""The seed's fine-tuning with TRL's SFTTrainer, on rows of `gemmatune prepare`, as a peer to `gemmatune finetune --compat trl`.

  python tools/real-base/train_trl.py --rows DIR/train.jsonl --eval-rows DIR/eval.jsonl --out build/trl [--precision bf16]
      [--stop-after 10] [--save-steps 4]

The tutorial's settings: text rows in its format, full sequence, max_length 512, 2 x 8, 5e-5, cosine, warm-up 0.03, evaluation every 10,
one epoch. Every update is logged, in OUT/log.jsonl as it comes. Gradient checkpointing is off: it changes no number. A call that was stopped
goes on from its newest checkpoint. `--stop-after` ends early on the schedule of the whole epoch.
"""
import argparse
import json
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

ROOT = Path(__file__).resolve().parents[2]
DEVELOPER = "You are a model that can do function calling with the following functions"


def text_of(tokenizer, row):
    """The tutorial's text: prompt by the chat template, the call as one JSON text."""
    messages = [{"role": "developer", "content": DEVELOPER}, {"role": "user", "content": row["user_content"]}]
    prompt = tokenizer.apply_chat_template(messages, tools=row["hf_tools"], tokenize=False, add_generation_prompt=True)
    call = f"<start_function_call>call:{row['tool_name']}{{args:<escape>{row['tool_arguments']}<escape>}}<end_function_call>"
    return prompt + call + tokenizer.eos_token


class Log(TrainerCallback):
    def __init__(self, path, stop_after):
        self.path, self.stop_after, self.start = path, stop_after, time.time()

    def on_log(self, args, state, control, logs=None, **kwargs):
        with self.path.open("a") as file:
            file.write(json.dumps({**logs, "step": state.global_step, "elapsed": round(time.time() - self.start, 1),
                                   "cpu": round(time.process_time(), 1)}) + "\n")

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.stop_after:
            control.should_training_stop = control.should_save = True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=ROOT / "build/real-base")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--eval-rows", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--precision", choices=("fp32", "amp", "bf16"), default="fp32", help="amp: float32 weights, bf16 autocast; bf16: as the tutorial")
    parser.add_argument("--stop-after", type=int, default=0)
    parser.add_argument("--save-steps", type=int, default=4)
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(arguments.base)
    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=dtype)

    def dataset(path):
        # Not by load_dataset: datasets would give every tool the parameters of all others.
        return Dataset.from_list([{"text": text_of(tokenizer, json.loads(line))} for line in path.read_text().splitlines()])

    config = SFTConfig(
        output_dir=str(arguments.out), use_cpu=not torch.cuda.is_available(), bf16=arguments.precision != "fp32", gradient_checkpointing=False,
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


if __name__ == "__main__":
    sys.exit(main())
