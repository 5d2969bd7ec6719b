// Training of the tiny golden model by ranks that are threads of this process: the same as by one rank, whatever is shared and how.
#include "training/trainer.h"

#include "testing/golden.h"
#include "testing/gpu_case.h"
#include "testing/ranks.h"

using namespace gt;
using namespace gt::testing;

namespace {

struct Settings {
  DeviceKind kind = DeviceKind::cpu;
  gpu::Level level = gpu::Level::sm80;
  DType dtype = DType::f32;
  bool masters = true;
  SharingOptions sharing;
  int64_t updates = 4;
};

// What one rank saw of a run.
struct Run {
  std::vector<double> loss_sums, norms;
  std::vector<float> weights;
  uint64_t checksum = 0;
};

// Sequence i of an update goes to rank i % size, so that ranks have unlike numbers of tokens, passes without targets, and none at all.
std::vector<GoldenPass> share_of(const GoldenUpdate& update, int rank, int size) {
  std::vector<GoldenPass> passes;
  int next = 0;
  for (const GoldenPass& p : update.passes) {
    GoldenPass own{{0}, {}, {}};
    for (size_t s = 0; s + 1 < p.starts.size(); s++) {
      if (next++ % size != rank) continue;
      own.tokens.insert(own.tokens.end(), p.tokens.begin() + p.starts[s], p.tokens.begin() + p.starts[s + 1]);
      own.targets.insert(own.targets.end(), p.targets.begin() + p.starts[s], p.targets.begin() + p.starts[s + 1]);
      own.starts.push_back(int32_t(own.tokens.size()));
    }
    passes.push_back(own);
  }
  return passes;
}

int64_t targets_of(const GoldenUpdate& update) {
  int64_t targets = 0;
  for (const GoldenPass& p : update.passes) targets += std::count_if(p.targets.begin(), p.targets.end(), [](int32_t t) { return t != -100; });
  return targets;
}

Run train(const Golden& g, Device& device, const Settings& s, comm::Communicator* ranks) {
  Gemma model(g.config, s.dtype, device, s.masters);
  load_golden(g, model);
  Trainer trainer(model, Keep::all);
  if (ranks) trainer.share(*ranks, s.sharing);
  Run run;
  for (int64_t step = 1; step <= s.updates; step++) {
    const GoldenUpdate& u = g.updates[size_t(step - 1) % g.updates.size()];
    const std::vector<GoldenPass> passes = share_of(u, ranks ? ranks->rank() : 0, ranks ? ranks->size() : 1);
    double loss_sum = 0;
    for (size_t i = 0; i < passes.size(); i++) loss_sum += trainer.accumulate(batch_of(passes[i]), i + 1 == passes.size()).loss_sum;
    AdamW options = g.adamw;
    options.learning_rate = u.learning_rate, options.step = step, options.seed = 7;
    options.divisor = double(targets_of(u)), options.max_grad_norm = g.max_grad_norm;
    run.norms.push_back(trainer.update(options).grad_norm);
    run.loss_sums.push_back(loss_sum);
  }
  trainer.complete_copies();
  run.weights = weights_of(model);
  run.checksum = trainer.checksum();
  return run;
}

std::vector<Run> train_together(const Golden& g, const Settings& s, int size) {
  std::vector<Run> runs(static_cast<size_t>(size));
  on_ranks(size, s.kind, s.level, [&](Device& device, comm::Communicator& ranks) { runs[size_t(ranks.rank())] = train(g, device, s, &ranks); });
  return runs;
}

// Losses and norms within `limit` (relative) of one rank's; weights as far from them as `weight_limit` times the way that they went; the ranks alike bit for bit.
void compare(const char* what, const std::vector<Run>& runs, const Run& alone, const std::vector<float>& start, double limit, double weight_limit) {
  for (size_t r = 1; r < runs.size(); r++) check(runs[r].checksum == runs[0].checksum && runs[r].norms == runs[0].norms, what, ": rank ", r, " ends with other bits than rank 0");
  for (size_t i = 0; i < alone.norms.size(); i++) {
    double loss = 0;
    for (const Run& r : runs) loss += r.loss_sums[i];
    check(std::abs(loss / alone.loss_sums[i] - 1) <= limit, what, ": update ", i + 1, ": loss ", loss, ", alone ", alone.loss_sums[i]);
    check(std::abs(runs[0].norms[i] / alone.norms[i] - 1) <= limit, what, ": update ", i + 1, ": gradient norm ", runs[0].norms[i], ", alone ", alone.norms[i]);
  }
  double off = 0, way = 0;
  for (size_t i = 0; i < start.size(); i++) off += std::pow(double(runs[0].weights[i]) - double(alone.weights[i]), 2), way += std::pow(double(alone.weights[i]) - double(start[i]), 2);
  check(std::sqrt(off / way) <= weight_limit, what, ": the weights are ", std::sqrt(off / way), " of their way apart, expected ", weight_limit, " at most");
}

Run train_alone(const Golden& g, const Settings& s) {
  Device device(s.kind, 0, 1, s.level);
  return train(g, device, s, nullptr);
}

std::vector<float> start_of(const Golden& g) {
  Device device(DeviceKind::cpu, 0, 1);
  Gemma model(g.config, DType::f32, device, true);
  load_golden(g, model);
  return weights_of(model);
}

}  // namespace

// A float32 sum of n terms in another order differs by 2^-24 √n of their size: gradients here are sums over up to a few hundred tokens, so 1e-6, which
// Adam's division makes larger where a gradient is near zero.
TEST(ranks_train_as_one_does_in_float32) {
  const Golden g = read_golden();
  const std::vector<float> start = start_of(g);
  const Run alone = train_alone(g, {});
  for (bool sharded : {false, true})
    for (int size : {1, 2, 3, 4}) {
      Settings s;
      s.sharing.sharded = sharded;
      compare(sharded ? "sharded" : "whole", train_together(g, s, size), alone, start, 2e-6, 1e-3);
    }
}

TEST(ranks_give_the_same_bits_in_every_run) {
  const Golden g = read_golden();
  for (bool sharded : {false, true}) {
    Settings s;
    s.sharing.sharded = sharded;
    check(train_together(g, s, 3)[0].checksum == train_together(g, s, 3)[0].checksum, sharded ? "sharded" : "whole");
  }
}

// A gradient that was sent in bfloat16 is off by 2^-9 of each element at most, at random: the norm of many by far less. Adam's first steps have the size of the
// learning rate whatever the gradient is, so weights are off where it changes its sign or is small.
TEST(gradients_may_travel_in_bfloat16) {
  const Golden g = read_golden();
  const std::vector<float> start = start_of(g);
  const Run alone = train_alone(g, {});
  for (bool sharded : {false, true}) {
    Settings s;
    s.sharing = {DType::bf16, sharded};
    compare("bfloat16 on the wire", train_together(g, s, 2), alone, start, 1e-3, 0.05);
  }
}

TEST(ranks_train_in_bfloat16_with_and_without_masters) {
  const Golden g = read_golden();
  const std::vector<float> start = start_of(g);
  for (bool masters : {true, false})
    for (bool sharded : {false, true}) {
      Settings s;
      s.dtype = DType::bf16, s.masters = masters, s.sharing.sharded = sharded;
      compare(masters ? "bfloat16 with masters" : "pure bfloat16", train_together(g, s, 2), train_alone(g, s), start, 0.02, masters ? 0.2 : 0.6);
    }
}

// Through the CUDA code path: two emulated devices.
TEST(two_emulated_gpus_train_as_one_does) {
  if (on_real_gpu()) return;  // in_process moves memory of emulated devices
  const Golden g = read_golden();
  const std::vector<float> start = start_of(g);
  for (gpu::Level level : {gpu::Level::sm75, gpu::Level::sm80})
    for (bool sharded : {false, true}) {
      Settings s;
      s.kind = DeviceKind::emulated, s.level = level, s.dtype = DType::bf16, s.updates = 2, s.sharing = {DType::bf16, sharded};
      compare(sharded ? "emulated, sharded" : "emulated, whole", train_together(g, s, 2), train_alone(g, s), start, 0.02, 0.2);
    }
}

TEST(an_update_refuses_a_gradient_that_was_not_shared) {
  const Golden g = read_golden();
  Device device(DeviceKind::cpu, 0, 1);
  const auto ranks = comm::in_process({&device});
  Gemma model(g.config, DType::f32, device, true);
  Trainer trainer(model, Keep::all);
  trainer.share(*ranks[0], {});
  trainer.accumulate(batch_of(g.updates[0].passes[0]), false);
  AdamW options;
  check_throws(Code::kArgument, "tell the update's last pass that it is the last", [&] { trainer.update(options); });
}
