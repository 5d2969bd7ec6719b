// The whole of it: forward, backward and update, with loss on the completions and on all tokens.
#include <algorithm>

#include "bench/cases.h"
#include "training/trainer.h"

namespace gt::bench {

void step(Bench& b) {
  const Shapes& s = b.shapes;
  Config config;
  config.vocab_size = s.V, config.hidden_size = s.C, config.num_layers = s.layers, config.num_heads = s.H, config.num_kv_heads = s.K, config.head_dim = s.D;
  config.intermediate_size = s.I, config.sliding_window = s.window, config.query_pre_attn_scalar = double(s.D);
  for (int64_t l = 0; l < s.layers; l++) config.full_attention.push_back((l + 1) % 6 == 0);
  Gemma model(config, b.dtype, b.device, true);
  {
    const int64_t total = model.table().total(), width = size_of(b.dtype);
    Data random(b.device, b.dtype, {std::min<int64_t>(total, 1 << 22)}, 0.03f);  // as trained weights are, or so
    for (int64_t at = 0; at < total; at += random.tensor.count())
      b.device.copy_within(static_cast<char*>(model.weights().data) + width * at, random.memory.data(), size_t(width * std::min(random.tensor.count(), total - at)));
  }
  Trainer trainer(model, Keep::all);
  const std::vector<int32_t> tokens = ids(s.T(), s.V), starts = even_starts(s);
  AdamW options;
  options.learning_rate = 1e-5, options.max_grad_norm = 1;
  for (const bool completion : {true, false}) {
    std::vector<int32_t> targets(tokens.size(), -100);
    const std::vector<int32_t> rows = supervised_rows(s, completion ? s.supervised : s.length - 1);
    for (int32_t t : rows) targets[size_t(t)] = tokens[size_t(t) + 1];
    options.divisor = double(rows.size());
    const Batch batch{tokens.data(), s.T(), starts.data(), s.sequences, targets.data()};
    b.run("training_step", text(completion ? "completion " : "full ", dims({s.sequences, s.length})), 0, 0, {0, 0}, [&] {
      trainer.accumulate(batch);
      trainer.update(options);
    });
  }
}

}  // namespace gt::bench
