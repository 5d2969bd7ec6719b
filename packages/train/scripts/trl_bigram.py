"""Prints the log_history that src/trl.test.ts quotes: TRL training the bigram model of src/bigram-model.case.ts.

    pip install torch==2.13.0 transformers==5.18.0 trl==1.13.0
    python packages/train/scripts/trl_bigram.py
"""

import json
import math
import tempfile

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from torch import nn
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.modeling_outputs import CausalLMOutputWithPast
from trl import SFTConfig, SFTTrainer

V = 11
TRAIN_LENGTHS = [7, 9, 8, 11, 8, 5, 11, 12, 5, 13, 13, 12, 11, 10, 11, 14, 13, 13, 7, 5, 14]
EVAL_LENGTHS = [14, 7, 9, 12, 10, 9, 12]


class BigramConfig(PretrainedConfig):
    model_type = "bigram"
    vocab_size = V


class Bigram(PreTrainedModel):
    config_class = BigramConfig

    def __init__(self, config):
        super().__init__(config)
        numbers = torch.tensor([math.sin(i * 12.9898) * 0.5 for i in range(V * V + V)], dtype=torch.float64)
        self.weight = nn.Parameter(numbers[: V * V].view(V, V).clone())
        self.bias = nn.Parameter(numbers[V * V :].clone())
        self.generation_config = GenerationConfig()
        self.post_init()

    def _init_weights(self, module):
        pass

    def get_input_embeddings(self):
        return None

    def forward(self, input_ids, labels, attention_mask=None, num_items_in_batch=None, **_):
        logits = self.weight[input_ids] + self.bias
        targets = labels[:, 1:]
        nll = nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, V), targets.reshape(-1), ignore_index=-100, reduction="sum"
        )
        count = (targets != -100).sum() if num_items_in_batch is None else num_items_in_batch
        return CausalLMOutputWithPast(loss=nll / count, logits=logits)


def rows(lengths):
    return Dataset.from_list(
        [
            {
                "input_ids": [(i * 7 + t * (3 + i % 2)) % V for t in range(length)],
                "completion_mask": [0 if t < 1 + i % 3 else 1 for t in range(length)],
            }
            for i, length in enumerate(lengths)
        ]
    )


def log_history(**options):
    tokenizer = Tokenizer(models.WordLevel({str(i): i for i in range(V)}, unk_token="0"))
    args = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=2,
        per_device_eval_batch_size=3,
        gradient_accumulation_steps=4,
        num_train_epochs=2,
        learning_rate=5e-2,
        lr_scheduler_type="cosine",
        warmup_steps=0.3,
        weight_decay=0.1,
        max_grad_norm=0.2,
        loss_type="nll",
        completion_only_loss=True,
        optim="adamw_torch",
        save_strategy="no",
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        disable_tqdm=True,
        report_to=[],
        **options,
    )
    trainer = SFTTrainer(
        model=Bigram(BigramConfig()).to(torch.float64),
        args=args,
        train_dataset=rows(TRAIN_LENGTHS),
        eval_dataset=rows(EVAL_LENGTHS),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="0", eos_token="1", unk_token="0"
        ),
    )
    trainer.train()
    return trainer.state.log_history, trainer.model.weight.flatten()[:3].tolist()


for options in ({"logging_steps": 2, "eval_strategy": "steps", "eval_steps": 3}, {"logging_steps": 4}):
    history, weights = log_history(**options)
    for row in history:
        print(json.dumps(row))
    print("first weights", weights)
