"""TRL's SFTTrainer on a small data set: what it trained on, in which order, and everything it logged."""
import json
import shutil
from pathlib import Path

from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from .files import write_json
from .rows import make_rows, make_tokenizer

# Wall-clock results: kept as keys, set to zero as values.
MEASURED = ("runtime", "samples_per_second", "steps_per_second")
TUTORIAL = dict(
    per_device_train_batch_size=2, gradient_accumulation_steps=8, per_device_eval_batch_size=2, num_train_epochs=2,
    learning_rate=5e-5, lr_scheduler_type="cosine", warmup_steps=0.03, weight_decay=0.0, max_length=64,
    max_grad_norm=1.0, adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8,
    logging_steps=1, eval_strategy="steps", eval_steps=3, save_strategy="no", seed=42, loss_type="chunked_nll",
)
# name: (columns of the rows, settings that differ from TUTORIAL)
RUNS = {
    "tutorial": ("input_ids", {}),
    "nll": ("input_ids", dict(loss_type="nll", learning_rate=1e-2, logging_steps=3, num_train_epochs=6, eval_steps=8)),
    "completion": ("completion_mask", dict(
        completion_only_loss=True, max_length=26, learning_rate=1e-3, logging_steps=3, warmup_steps=0.3,
        save_strategy="steps", save_steps=3, load_best_model_at_end=True,
    )),
    "linear-decay": ("labels", dict(
        lr_scheduler_type="linear", weight_decay=0.01, warmup_steps=2, learning_rate=1e-3,
        per_device_train_batch_size=3, gradient_accumulation_steps=4, eval_steps=4, num_train_epochs=3,
    )),
    "constant": ("labels", dict(
        lr_scheduler_type="constant", warmup_steps=0, max_steps=7, learning_rate=1e-3, per_device_train_batch_size=4,
        gradient_accumulation_steps=1, per_device_eval_batch_size=3, logging_steps=2, logging_first_step=True, seed=7,
    )),
    "constant-warmup": ("labels", dict(
        lr_scheduler_type="constant_with_warmup", warmup_steps=3, learning_rate=1e-3, num_train_epochs=1.5,
        eval_strategy="no", max_grad_norm=4.0, logging_steps=4, seed=3,
    )),
    "text": ("text", dict(seed=40, learning_rate=1e-3, max_length=40)),
    "prompt-completion": ("prompt, completion", dict(seed=40, learning_rate=1e-3)),
}


def as_columns(row, columns, tokenizer):
    if columns == "text":
        return {"text": row["prompt"] + row["completion"]}
    if columns == "prompt, completion":
        return row
    prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
    answer = tokenizer(row["completion"] + "<eos>", add_special_tokens=False)["input_ids"]
    ids = prompt + answer
    if columns == "completion_mask":
        return {"input_ids": ids, "completion_mask": [0] * len(prompt) + [1] * len(answer)}
    if columns == "labels":
        return {"input_ids": ids, "labels": [-100] * len(prompt) + answer}
    return {"input_ids": ids}


class RecordingCollator(DataCollatorForLanguageModeling):
    """Notes the ids of every batch as the trainer asks for it."""

    def torch_call(self, examples):
        self.batches.append([example["input_ids"] for example in examples])
        return super().torch_call(examples)


def epoch_orders(batches, prepared, per_epoch, epochs):
    """Indices into the prepared rows, batch by batch, per epoch. Evaluation batches share the collator; rows tell them apart."""
    index = {tuple(ids): i for i, ids in enumerate(prepared)}
    assert len(index) == len(prepared), "two prepared rows are equal: the order cannot be observed"
    seen = [[index[tuple(ids)] for ids in batch] for batch in batches if tuple(batch[0]) in index]
    orders = [seen[start : start + per_epoch] for start in range(0, len(seen), per_epoch)]
    return orders[:epochs]


def without_times(row):
    return {key: 0 if key.endswith(MEASURED) else value for key, value in row.items()}


def state_file(path):
    state = json.loads(Path(path).read_text())
    state["log_history"] = [without_times(row) for row in state["log_history"]]
    return state


def train(model, tokenizer, columns, settings, rows, evaluation):
    """@returns the trainer after training, and the ids of every batch that this process asked for"""
    shutil.rmtree("out", ignore_errors=True)
    config = SFTConfig(
        output_dir="out", report_to="none", use_cpu=True, bf16=False, gradient_checkpointing=False, disable_tqdm=True,
        **settings,
    )
    collator = RecordingCollator(pad_token_id=tokenizer.pad_token_id)
    collator.batches = []
    trainer = SFTTrainer(
        model=model, args=config, processing_class=tokenizer, data_collator=collator,
        train_dataset=Dataset.from_list([as_columns(row, columns, tokenizer) for row in rows]),
        eval_dataset=Dataset.from_list([as_columns(row, columns, tokenizer) for row in evaluation]),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_state()
    return trainer, collator.batches


def order_of(trainer, batches):
    """[epoch][batch][row] of this process."""
    per_epoch = len(trainer.get_train_dataloader())
    epochs = -(-trainer.state.global_step // max(1, -(-per_epoch // trainer.args.gradient_accumulation_steps)))
    return epoch_orders(batches, [list(row["input_ids"]) for row in trainer.train_dataset], per_epoch, epochs)


def run(model, tokenizer, columns, settings, rows, evaluation):
    trainer, batches = train(model, tokenizer, columns, settings, rows, evaluation)
    prepared = [{"input_ids": list(row["input_ids"]), "labels": list(row["labels"])} for row in trainer.train_dataset]
    prepared_eval = [{"input_ids": list(row["input_ids"]), "labels": list(row["labels"])} for row in trainer.eval_dataset]
    checkpoints = sorted(Path("out").glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    return {
        "columns": columns,
        "settings": settings,
        "prepared": {"train": prepared, "eval": prepared_eval},
        "order": order_of(trainer, batches),
        "log_history": [without_times(row) for row in trainer.state.log_history],
        "trainer_state": state_file("out/trainer_state.json"),
        "checkpoints": {folder.name: state_file(folder / "trainer_state.json") for folder in checkpoints},
    }


def write_trl_runs(folder, make_model):
    train, evaluation = make_rows()
    tokenizer = make_tokenizer(train)
    tokenizer.save_pretrained(folder.parent / "tiny")
    write_json(folder / "rows.json", {"train": train, "eval": evaluation})
    for name, (columns, changes) in RUNS.items():
        result = run(make_model(), tokenizer, columns, {**TUTORIAL, **changes}, train, evaluation)
        write_json(folder / f"{name}.json", result)
