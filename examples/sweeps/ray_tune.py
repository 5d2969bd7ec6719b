"""A search over learning rates by Ray Tune: each trial is a process of `gemmatune finetune`, ended early by ASHA from its log.

    pip install "ray[tune]" && python ray_tune.py /data/model /data/train.jsonl /data/eval.jsonl

The search and the early stopping are Ray's; the program trains, says how it goes in --log-file, and goes on by itself when it is called again.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from ray import tune
from ray.tune.schedulers import ASHAScheduler

POLL_SECONDS = 1.0


def new_rows(log: Path, offset: int) -> tuple[list[dict], int]:
    """Whole lines of `log` from byte `offset` on, and where the next ones begin."""
    if not log.exists():
        return [], offset
    with log.open("rb") as file:
        file.seek(offset)
        text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole)


def train(config: dict, model: str, train_file: str, eval_file: str) -> None:
    folder = Path(tune.get_context().get_trial_dir()) / "run"
    log = folder.with_suffix(".jsonl")
    words = ["gemmatune", "finetune", "--model", model, "--train", train_file, "--eval-file", eval_file, "--offline"]
    words += ["--device", "cuda", "--output-dir", str(folder), "--log-file", str(log), "--eval-steps", "20", "--json"]
    words += [f"--{name}={value}" for name, value in config.items()]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    offset = 0
    try:
        running = True
        while running:
            time.sleep(POLL_SECONDS)
            running = process.poll() is None  # before the look, so that the last rows are not missed
            rows, offset = new_rows(log, offset)
            for row in rows:
                if row.get("eval_loss") is not None:
                    tune.report({"eval_loss": row["eval_loss"], "step": row["step"]})
    finally:  # ASHA ends the function by an exception
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    if process.returncode not in (0, 4):  # 4: it diverged, which is an answer too
        raise RuntimeError(f"gemmatune finetune ended with {process.returncode}: {output}")


def main(model: str, train_file: str, eval_file: str) -> None:
    files = {"model": model, "train_file": train_file, "eval_file": eval_file}
    trainable = tune.with_resources(tune.with_parameters(train, **files), {"cpu": 2, "gpu": 1})
    tuner = tune.Tuner(
        trainable,
        param_space={"learning-rate": tune.loguniform(5e-6, 2e-4), "warmup-ratio": tune.choice([0.0, 0.03, 0.1])},
        tune_config=tune.TuneConfig(metric="eval_loss", mode="min", num_samples=32, scheduler=ASHAScheduler(time_attr="step", grace_period=40)),
    )
    best = tuner.fit().get_best_result()
    print(best.config, best.metrics["eval_loss"], best.path)


if __name__ == "__main__":
    main(*sys.argv[1:])
