// Ten updates of the tiny golden model against transformers and torch (test/golden/native.mjs), on the CPU in float32 and on each GPU
// code path: what a machine without Node can check of the whole training step.
#include <fstream>
#include <map>

#include "model/values.h"
#include "testing/gpu_case.h"
#include "training/trainer.h"

using namespace gt;
using namespace gt::testing;

namespace {

struct Pass { std::vector<int32_t> starts, tokens, targets; };
struct Update {
  double learning_rate, loss, true_loss, norm;
  std::vector<Pass> passes;
};
struct Golden {
  Config config;
  std::map<std::string, int64_t> offsets;
  AdamW adamw;
  double max_grad_norm = 0;
  std::vector<Update> updates;
};

std::string golden_path(const char* name) { return std::string(GT_GOLDEN) + "/" + name; }

Golden read_golden() {
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
  for (Update& u : g.updates) {
    size_t passes;
    in >> u.learning_rate >> u.loss >> u.true_loss >> u.norm >> passes;
    u.passes.resize(passes);
    for (Pass& p : u.passes) {
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

// Trains and holds losses to `loss_limit` of `want(update)`, norms to `norm_limit`, both relative.
template <class Want>
void follow(Device& device, DType dtype, Keep keep, const Want& want, double loss_limit, double norm_limit) {
  const Golden g = read_golden();
  Gemma model(g.config, dtype, device, true);
  const MappedFile file(golden_path("model.safetensors"));
  for (const Parameter& p : model.table().rows()) load_values(device, {model.weights(), model.remainders()}, p, file, g.offsets.at(p.name), FileType::f32);
  Trainer trainer(model, keep);
  int64_t step = 0;
  for (const Update& u : g.updates) {
    Metrics sum;
    for (const Pass& p : u.passes) {
      const Metrics m = trainer.accumulate({p.tokens.data(), int64_t(p.tokens.size()), p.starts.data(), int64_t(p.starts.size()) - 1, p.targets.data()});
      sum.loss_sum += m.loss_sum, sum.targets += m.targets;
    }
    AdamW options = g.adamw;
    options.learning_rate = u.learning_rate, options.step = ++step;
    options.divisor = double(sum.targets), options.max_grad_norm = g.max_grad_norm;
    const UpdateResult result = trainer.update(options);
    const double loss = sum.loss_sum / double(sum.targets);
    check(std::abs(loss / want(u) - 1) <= loss_limit, "update ", step, ": loss ", loss, ", golden ", want(u));
    check(std::abs(result.grad_norm / u.norm - 1) <= norm_limit, "update ", step, ": gradient norm ", result.grad_norm, ", golden ", u.norm);
  }
}

}  // namespace

TEST(the_cpu_follows_the_golden_training_in_float32) {
  for (Keep keep : {Keep::all, Keep::most, Keep::inputs}) {
    Device device(DeviceKind::cpu, 0, 2);
    follow(device, DType::f32, keep, [](const Update& u) { return u.loss; }, 1e-5, 1e-4);
  }
}

// As the bfloat16 CPU does (test/parity/model.test.ts).
TEST(a_gpu_follows_the_golden_training_in_bfloat16) {
  on_each_gpu([](Device& device) { follow(device, DType::bf16, Keep::all, [](const Update& u) { return u.true_loss; }, 0.02, 0.05); });
}
