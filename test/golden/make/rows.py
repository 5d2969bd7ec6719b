"""Function-calling rows in the tutorial's format, and a tokenizer of Gemma's construction small enough for the tiny model."""
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 384
SPECIAL = [
    "<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<escape>", "<start_function_call>",
    "<end_function_call>", "<start_function_response>",
]
TRAIN_ROWS, EVAL_ROWS = 49, 7
COLOURS = ("red", "blue", "warm white", "green", "violet")
ROOMS = ("kitchen", "hall", "bedroom", "attic")
CITIES = ("Oslo", "Lima", "Cairo", "Kyoto", "Porto", "Turin")


def make_rows():
    """(prompt, completion) pairs, all different. The prompt starts with a literal <bos>, as the tutorial's does."""
    requests = [
        (f"Set the {room} light to {colour}.", "set_light", f'{{"room": "{room}", "colour": "{colour}"}}')
        for room in ROOMS for colour in COLOURS
    ]
    requests += [
        (f"What is the weather in {city} {day}?", "get_weather", f'{{"city": "{city}", "day": "{day}"}}')
        for city in CITIES for day in ("today", "tomorrow")
    ]
    requests += [(f"Wake me in {n} minutes.", "set_timer", f'{{"minutes": {n}}}') for n in range(3, 99, 4)]
    order = [(i * 29) % len(requests) for i in range(len(requests))]
    rows = []
    for i in order[: TRAIN_ROWS + EVAL_ROWS]:
        request, tool, arguments = requests[i]
        prompt = f"<bos><start_of_turn>user\n{request}<end_of_turn>\n<start_of_turn>model\n"
        call = f"<start_function_call>call:{tool}{{args:<escape>{arguments}<escape>}}<end_function_call>"
        rows.append({"prompt": prompt, "completion": call})
    assert len({row["prompt"] for row in rows}) == TRAIN_ROWS + EVAL_ROWS
    return rows[:TRAIN_ROWS], rows[TRAIN_ROWS:]


def make_tokenizer(rows):
    """BPE over "▁"-joined text with byte fallback, a <bos> in front of every text: Gemma 3's tokenizer.json in small."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = [AddedToken(token, normalized=False, special=True) for token in SPECIAL]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))],
        max_token_length=8, show_progress=False,
    )
    lines = [line for row in rows for text in row.values() for line in strip_special(text).split("\n")]
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", 2)]
    )
    assert tokenizer.get_vocab_size() <= VOCABULARY
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )


def strip_special(text):
    for token in SPECIAL:
        text = text.replace(token, "\n")
    return text
