// The tiny golden model and ten updates of it, as test/golden/native.mjs writes them down for tests without Node.
#pragma once
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "model/gemma.h"
#include "model/values.h"
#include "ops/adamw/adamw.h"
#include "testing/check.h"

namespace gt::testing {

struct GoldenPass { std::vector<int32_t> starts, tokens, targets; };
struct GoldenUpdate {
  double learning_rate, loss, true_loss, norm;
  std::vector<GoldenPass> passes;
};
struct Golden {
  Config config;
  std::map<std::string, int64_t> offsets;
  AdamW adamw;
  double max_grad_norm = 0;
  std::vector<GoldenUpdate> updates;
};

inline std::string golden_path(const char* name) { return std::string(GT_GOLDEN) + "/" + name; }

inline Golden read_golden() {
  std::ifstream in(golden_path("native.txt"));
  check(bool(in), golden_path("native.txt"), " cannot be read");
  in.exceptions(std::ios::failbit | std::ios::badbit);
  Golden g;
  Config& c = g.config;
  in >> c.vocab_size >> c.hidden_size >> c.num_layers >> c.num_heads >> c.num_kv_heads >> c.head_dim >> c.intermediate_size >> c.sliding_window >> c.max_position_embeddings;
  for (int64_t l = 0; l < c.num_layers; l++) {
    int full;
    in >> full;
    c.full_attention.push_back(uint8_t(full));
  }
  in >> c.rope_theta >> c.rope_local_theta >> c.rope_factor >> c.rms_norm_eps >> c.query_pre_attn_scalar;
  size_t weights, updates;
  in >> weights;
  for (size_t i = 0; i < weights; i++) {
    std::string name;
    in >> name;
    in >> g.offsets[name];
  }
  in >> g.adamw.beta1 >> g.adamw.beta2 >> g.adamw.epsilon >> g.adamw.weight_decay >> g.max_grad_norm >> updates;
  g.updates.resize(updates);
  for (GoldenUpdate& u : g.updates) {
    size_t passes;
    in >> u.learning_rate >> u.loss >> u.true_loss >> u.norm >> passes;
    u.passes.resize(passes);
    for (GoldenPass& p : u.passes) {
      size_t sequences;
      in >> sequences;
      p.starts.resize(sequences + 1);
      for (int32_t& v : p.starts) in >> v;
      p.tokens.resize(size_t(p.starts.back())), p.targets.resize(p.tokens.size());
      for (int32_t& v : p.tokens) in >> v;
      for (int32_t& v : p.targets) in >> v;
    }
  }
  return g;
}

inline void load_golden(const Golden& g, Gemma& model) {
  const MappedFile file(golden_path("model.safetensors"));
  for (const Parameter& p : model.table().rows()) load_values(model.device(), {model.weights(), model.remainders()}, p, file, g.offsets.at(p.name), FileType::f32);
}

inline Batch batch_of(const GoldenPass& p) { return {p.tokens.data(), int64_t(p.tokens.size()), p.starts.data(), int64_t(p.starts.size()) - 1, p.targets.data()}; }

// Master weights, in the arena's layout.
inline std::vector<float> weights_of(Gemma& model) {
  std::vector<float> all(size_t(model.table().total()));
  for (const Parameter& p : model.table().rows()) read_values(model.device(), {model.weights(), model.remainders()}, p, all.data() + p.offset);
  return all;
}

}  // namespace gt::testing
