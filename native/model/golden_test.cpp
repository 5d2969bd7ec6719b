// Ten updates of the tiny golden model against transformers and torch (test/golden/native.mjs), on the CPU in float32 and on each GPU
// code path: what a machine without Node can check of the whole training step. And the same model trained in pure bfloat16.
#include "ops/adamw/reference.h"
#include "ops/global_norm/global_norm.h"
#include "testing/golden.h"
#include "testing/gpu_case.h"
#include "training/trainer.h"

using namespace gt;
using namespace gt::testing;

namespace {

// Trains and holds losses to `loss_limit` of `want(update)`, norms to `norm_limit`, both relative.
template <class Want>
void follow(Device& device, DType dtype, Keep keep, const Want& want, double loss_limit, double norm_limit) {
  const Golden g = read_golden();
  Gemma model(g.config, dtype, device, true);
  load_golden(g, model);
  Trainer trainer(model, keep);
  int64_t step = 0;
  for (const GoldenUpdate& u : g.updates) {
    Metrics sum;
    for (const GoldenPass& p : u.passes) {
      const Metrics m = trainer.accumulate(batch_of(p));
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

enum class Rounding { masters, stochastic, nearest };

// bfloat16 training of the tiny model at a small, constant learning rate: its losses, and what became of the weights.
struct Run {
  std::vector<double> losses;
  std::vector<float> start, end;
};

// AdamW as the Trainer does it, but bfloat16 weights and moments are rounded to nearest. The gradient becomes zero.
class NearestTrainer {
 public:
  explicit NearestTrainer(Gemma& model) : model_(model), gradients_(size_t(model.table().total())), m_(gradients_), v_(gradients_) {}
  Metrics accumulate(const Batch& batch) { return model_.accumulate(batch, gradients(), {}); }
  void update(AdamW options) {
    double norm;
    global_norm(model_.device(), Tensor(&norm, DType::f64, {1}), gradients());
    std::vector<float> p = weights_of(model_);
    const auto decayed = std::ptrdiff_t(model_.table().decayed());
    for (bool decay : {true, false}) {
      auto part = [&](std::vector<float>& all) { return decay ? std::vector<float>(all.begin(), all.begin() + decayed) : std::vector<float>(all.begin() + decayed, all.end()); };
      auto put_back = [&](std::vector<float>& all, const std::vector<float>& some) { std::transform(some.begin(), some.end(), all.begin() + (decay ? 0 : decayed), [](float x) { return to_float(to_bf16(x)); }); };
      std::vector<float> some = part(p), m = part(m_), v = part(v_);
      if (!decay) options.weight_decay = 0;
      reference::adamw(some, part(gradients_), m, v, norm, options);
      put_back(p, some), put_back(m_, m), put_back(v_, v);
    }
    std::transform(p.begin(), p.end(), model_.weights().as<bf16>(), [](float x) { return to_bf16(x); });
    std::fill(gradients_.begin(), gradients_.end(), 0.f);
  }

 private:
  Tensor gradients() { return Tensor(gradients_.data(), DType::f32, {int64_t(gradients_.size())}); }

  Gemma& model_;
  std::vector<float> gradients_, m_, v_;
};

template <class AnyTrainer>
Run train(const Golden& g, Gemma& model, AnyTrainer& trainer, int64_t updates, uint64_t seed) {
  Run run;
  run.start = weights_of(model);
  for (int64_t step = 1; step <= updates; step++) {
    Metrics sum;
    for (const GoldenPass& p : g.updates[size_t(step - 1) % g.updates.size()].passes) {
      const Metrics m = trainer.accumulate(batch_of(p));
      sum.loss_sum += m.loss_sum, sum.targets += m.targets;
    }
    AdamW options = g.adamw;
    options.learning_rate = 5e-5, options.step = step, options.seed = seed;
    options.divisor = double(sum.targets), options.max_grad_norm = g.max_grad_norm;
    trainer.update(options);
    run.losses.push_back(sum.loss_sum / double(sum.targets));
  }
  run.end = weights_of(model);
  return run;
}

Run train_in_bfloat16(Rounding rounding, int64_t updates, int threads = 2, uint64_t seed = 1) {
  const Golden g = read_golden();
  Device device(DeviceKind::cpu, 0, threads);
  Gemma model(g.config, DType::bf16, device, rounding == Rounding::masters);
  load_golden(g, model);
  if (rounding == Rounding::nearest) {
    NearestTrainer trainer(model);
    return train(g, model, trainer, updates, seed);
  }
  Trainer trainer(model, Keep::all);
  return train(g, model, trainer, updates, seed);
}

// How far `run` went along the way that `masters` went: 1 = as far.
double share_of_the_way(const Run& run, const Run& masters) {
  double dot = 0, length = 0;
  for (size_t i = 0; i < run.end.size(); i++) {
    const double want = double(masters.end[i]) - double(masters.start[i]);
    dot += (double(run.end[i]) - double(run.start[i])) * want, length += want * want;
  }
  return dot / length;
}

}  // namespace

TEST(the_cpu_follows_the_golden_training_in_float32) {
  for (Keep keep : {Keep::all, Keep::most, Keep::inputs}) {
    Device device(DeviceKind::cpu, 0, 2);
    follow(device, DType::f32, keep, [](const GoldenUpdate& u) { return u.loss; }, 1e-5, 1e-4);
  }
}

// As the bfloat16 CPU does (test/parity/model.test.ts).
TEST(a_gpu_follows_the_golden_training_in_bfloat16) {
  on_each_gpu([](Device& device) { follow(device, DType::bf16, Keep::all, [](const GoldenUpdate& u) { return u.true_loss; }, 0.02, 0.05); });
}

TEST(training_without_masters_follows_that_with_them) {
  const int64_t updates = 20;
  const Run masters = train_in_bfloat16(Rounding::masters, updates), stochastic = train_in_bfloat16(Rounding::stochastic, updates), nearest = train_in_bfloat16(Rounding::nearest, updates);
  // The weights that products read are bfloat16 in both, rounded once of a master, or off by a random walk of roundings, each up to a gap (2^-7 of the
  // weight): twenty updates of that move the loss by about 0.1 %, to either side.
  for (size_t i = 0; i < masters.losses.size(); i++)
    check(std::abs(stochastic.losses[i] / masters.losses[i] - 1) <= 0.005, "update ", i + 1, ": loss ", stochastic.losses[i], ", with masters ", masters.losses[i]);
  // All weights together went as far: their noise averages out. Rounded to nearest, only weights that are small or still zero move.
  const double share = share_of_the_way(stochastic, masters), lost = share_of_the_way(nearest, masters);
  check(std::abs(share - 1) <= 0.02, "the weights went ", share, " of the way that they go with masters");
  check(lost <= 0.25, "rounded to nearest the weights went ", lost, " of the way; expected most of it to be lost");
  check(nearest.losses.back() - masters.losses.back() > 10 * std::abs(stochastic.losses.back() - masters.losses.back()), "losses ", masters.losses.back(), ", stochastic ", stochastic.losses.back(), ", to nearest ", nearest.losses.back());
}

TEST(training_without_masters_gives_the_same_bits_for_the_same_seed) {
  const Run one = train_in_bfloat16(Rounding::stochastic, 3, 1), two = train_in_bfloat16(Rounding::stochastic, 3, 2), five = train_in_bfloat16(Rounding::stochastic, 3, 5);
  check(one.end == two.end && one.losses == two.losses && one.end == five.end, "bits depend on the number of threads");
  check(train_in_bfloat16(Rounding::stochastic, 3, 2, 2).end != two.end, "another seed gives the same bits");
}

TEST(a_gpu_refuses_to_train_without_masters) {
  on_each_gpu([](Device& device) {
    const Golden g = read_golden();
    Gemma model(g.config, DType::bf16, device, false);
    check_throws(Code::kArgument, "trains with float32 master weights; masterWeights is false, expected true (the default), or device cpu", [&] { Trainer(model, Keep::all); });
  });
}
