// A pass with the vocabulary cut between ranks, against the pass of one rank over all their batches. Every rank lacks what it must not need: the embedding's rows
// of other slices are NaN, in the weights and in the gradient.
#include "model/vocabulary.h"

#include <algorithm>

#include "testing/golden.h"
#include "testing/gpu_case.h"
#include "testing/ranks.h"

using namespace gt;
using namespace gt::testing;

namespace {

struct Weights {
  Config config;
  std::vector<float> values;  // in the arena's layout, all of them numbers of bfloat16
};

Weights golden_weights() {
  const Golden g = read_golden();
  Device device(DeviceKind::cpu, 0, 1);
  Gemma model(g.config, DType::f32, device, false);
  load_golden(g, model);
  return {g.config, rounded(weights_of(model))};
}

Weights random_weights(const Config& config) {
  Random random(3);
  std::vector<float> values(size_t(ParameterTable(config).total()));
  for (float& v : values) v = float(0.2 * random.normal());
  return {config, rounded(values)};
}

Config small_config(int64_t vocab_size, int64_t hidden_size) {
  Config c;
  c.vocab_size = vocab_size, c.hidden_size = hidden_size, c.num_layers = 1, c.num_heads = 1, c.num_kv_heads = 1, c.head_dim = 8, c.intermediate_size = 8, c.sliding_window = 8, c.full_attention = {1}, c.query_pre_attn_scalar = 8;
  return c;
}

// Sequences of drawn tokens, each learnt from its third on; the first ones are the edges of all slices.
GoldenPass batch_with(std::vector<int64_t> lengths, int64_t vocab_size, int size, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> edges;
  for (int r = 0; r < size; r++)
    if (const VocabularySlice slice = slice_of(vocab_size, r, size); slice.count > 0) edges.push_back(int32_t(slice.first)), edges.push_back(int32_t(slice.first + slice.count - 1));
  GoldenPass p{{0}, {}, {}};
  size_t token = 0, target = 0;
  for (int64_t n : lengths) {
    for (int64_t t = 0; t < n; t++) {
      const auto draw = [&](size_t& used) { return used < edges.size() ? edges[used++] : int32_t(random.below(vocab_size)); };
      p.tokens.push_back(draw(token));
      p.targets.push_back(t < 2 ? -100 : draw(target));
    }
    p.starts.push_back(int32_t(p.tokens.size()));
  }
  return p;
}

GoldenPass without_targets(GoldenPass p) {
  std::fill(p.targets.begin(), p.targets.end(), -100);
  return p;
}

GoldenPass joined(const std::vector<GoldenPass>& all) {
  GoldenPass whole{{0}, {}, {}};
  for (const GoldenPass& p : all) {
    const int32_t before = whole.starts.back();
    for (size_t s = 1; s < p.starts.size(); s++) whole.starts.push_back(before + p.starts[s]);
    whole.tokens.insert(whole.tokens.end(), p.tokens.begin(), p.tokens.end());
    whole.targets.insert(whole.targets.end(), p.targets.begin(), p.targets.end());
  }
  return whole;
}

struct Settings {
  DType dtype = DType::f32;
  DeviceKind kind = DeviceKind::cpu;
  gpu::Level level = gpu::Level::sm80;
  Keep keep = Keep::all;
};

struct Result {
  Metrics metrics;
  std::vector<float> gradient;                          // in the arena's layout
  std::vector<std::pair<int64_t, int64_t>> complete;  // what Pass::complete heard
  int64_t bytes = 0, planned = 0;                       // of the pass's memory
};

// What gradients hold before the pass, which adds to them.
std::vector<float> begun(size_t count) {
  Random random(4);
  std::vector<float> values(count);
  for (float& v : values) v = float(0.01 * random.normal());
  return values;
}

// Calls body(index) for the embedding's elements that are another rank's.
template <class Body>
void each_foreign(const Config& c, comm::Communicator& ranks, const Body& body) {
  const VocabularySlice own = slice_of(c.vocab_size, ranks.rank(), ranks.size());
  for (int64_t i = 0; i < c.vocab_size * c.hidden_size; i++)
    if (i / c.hidden_size < own.first || i / c.hidden_size >= own.first + own.count) body(size_t(i));
}

Result pass_of(const Weights& w, Device& device, const Settings& s, const GoldenPass& batch, comm::Communicator* ranks) {
  Gemma model(w.config, s.dtype, device, false);
  std::vector<float> values = w.values, gradient = begun(values.size());
  if (ranks) {
    if (ranks->rank() > 0) std::fill(gradient.begin() + model.table().matrices(0).first, gradient.end(), 0.f);
    each_foreign(w.config, *ranks, [&](size_t i) { values[i] = gradient[i] = NAN; });
  }
  if (s.dtype == DType::f32) {
    device.copy_from_host(model.weights().data, values.data(), values.size() * 4);
  } else {
    std::vector<bf16> narrow;
    for (float v : values) narrow.push_back(to_bf16(v));
    device.copy_from_host(model.weights().data, narrow.data(), narrow.size() * 2);
  }
  Buffer arena(device, int64_t(gradient.size()) * 4);
  device.copy_from_host(arena.data(), gradient.data(), gradient.size() * 4);

  Result result;
  Pass pass;
  pass.keep = s.keep, pass.split = ranks;
  pass.complete = [&](int64_t first, int64_t end) { result.complete.push_back({first, end}); };
  result.metrics = model.accumulate(batch_of(batch), Tensor(arena.data(), DType::f32, {int64_t(gradient.size())}), pass);
  device.copy_to_host(gradient.data(), arena.data(), gradient.size() * 4);
  if (ranks) each_foreign(w.config, *ranks, [&](size_t i) { check(std::isnan(gradient[i]), "rank ", ranks->rank(), " has written ", gradient[i], " to element ", i, " of the embedding's gradient, which is another rank's"); });
  result.gradient = std::move(gradient);
  result.bytes = model.activation_bytes();
  result.planned = model.pass_bytes(int64_t(batch.tokens.size()), result.metrics.targets, s.keep, ranks ? ranks->size() : 1);
  return result;
}

Result pass_alone(const Weights& w, const Settings& s, const GoldenPass& batch) {
  Device device(s.kind, 0, 2, s.level);
  return pass_of(w, device, s, batch, nullptr);
}

std::vector<Result> pass_together(const Weights& w, const Settings& s, const std::vector<GoldenPass>& batches) {
  std::vector<Result> results(batches.size());
  on_ranks(int(batches.size()), s.kind, s.level, [&](Device& device, comm::Communicator& ranks) { results[size_t(ranks.rank())] = pass_of(w, device, s, batches[size_t(ranks.rank())], &ranks); });
  return results;
}

// The ranks' gradients as one: the embedding's rows from those that have them, of all else the sum.
std::vector<double> whole_gradient(const Config& c, const std::vector<Result>& results) {
  std::vector<double> whole(results[0].gradient.size());
  for (size_t i = 0; i < whole.size(); i++)
    for (const Result& r : results)
      if (int64_t(i) >= c.vocab_size * c.hidden_size || !std::isnan(r.gradient[i])) whole[i] += double(r.gradient[i]);
  return whole;
}

// The error of each parameter tensor in the 2-norm, relative to the tensor's.
std::vector<double> errors(const Config& c, const std::vector<double>& got, const std::vector<double>& want) {
  std::vector<double> errors;
  const ParameterTable table(c);
  for (const Parameter& p : table.rows()) {
    double off = 0, length = 0;
    for (size_t i = size_t(p.offset); i < size_t(p.offset + p.count); i++) off += std::pow(got[i] - want[i], 2), length += std::pow(want[i], 2);
    errors.push_back(std::sqrt(off / length));
  }
  return errors;
}

std::vector<double> wide(const std::vector<float>& v) { return {v.begin(), v.end()}; }

// Each tensor's error from `truth` is within limit(i); metrics are those of each rank's batch alone.
template <class Limit>
void compare(const std::string& what, const Weights& w, const Settings& s, const std::vector<GoldenPass>& batches, const std::vector<double>& truth, const Limit& limit, double loss_limit) {
  const std::vector<Result> results = pass_together(w, s, batches);
  const std::vector<double> off = errors(w.config, whole_gradient(w.config, results), truth);
  for (size_t i = 0; i < off.size(); i++) check(off[i] <= limit(i), what, ": the gradient of ", ParameterTable(w.config).rows()[i].name, " is off by ", off[i], " of its length, expected ", limit(i), " at most");
  for (size_t r = 0; r < results.size(); r++) {
    const Metrics got = results[r].metrics, want = batches[r].tokens.empty() ? Metrics{} : pass_alone(w, s, batches[r]).metrics;
    check(got.targets == want.targets && got.correct == want.correct, what, ": rank ", r, " has ", got.targets, " targets, ", got.correct, " correct; alone ", want.targets, " and ", want.correct);
    check(std::abs(got.loss_sum - want.loss_sum) <= loss_limit * want.loss_sum && std::abs(got.entropy_sum - want.entropy_sum) <= loss_limit * want.entropy_sum, what, ": rank ", r, " has loss ", got.loss_sum, ", entropy ",
          got.entropy_sum, "; alone ", want.loss_sum, ", ", want.entropy_sum);
    check(results[r].complete == pass_alone(w, s, joined(batches)).complete, what, ": rank ", r, " tells of other ranges than a rank alone");
  }
}

// From the second rank of more than two on: no tokens; tokens, but no targets; learns.
std::vector<GoldenPass> batches_for(int size, int64_t vocab_size) {
  std::vector<GoldenPass> batches;
  for (int r = 0; r < size; r++) {
    GoldenPass p = batch_with({7 + r, 12, 3 + 5 * r}, vocab_size, size, uint64_t(r + 1));
    if (size > 2 && r == 1) p = {{0}, {}, {}};
    if (size > 2 && r == 2) p = without_targets(p);
    batches.push_back(p);
  }
  return batches;
}

// Float32 sums in another order, and a row's sums rounded once more on their way: each is off by some 2^-24 of its length, and a pass of four layers chains a few
// dozen. Measured 2^-20 on every instruction set; one token or target that is taken or left out wrongly makes 2^-7 and more.
constexpr double kFloat32 = 0x1p-18;

}  // namespace

TEST(ranks_that_cut_the_vocabulary_have_the_gradient_of_one_in_float32) {
  const Weights w = golden_weights();
  for (int size : {1, 2, 3, 4})
    for (Keep keep : {Keep::all, Keep::most, Keep::inputs}) {
      if (size != 2 && keep != Keep::all) continue;
      Settings s;
      s.keep = keep;
      const std::vector<GoldenPass> batches = batches_for(size, w.config.vocab_size);
      compare(text(size, " ranks"), w, s, batches, wide(pass_alone(w, s, joined(batches)).gradient), [](size_t) { return kFloat32; }, 1e-6);
    }
}

// bfloat16 may be as far from float32, or three times, as one rank's is (as in op_case.h).
TEST(ranks_that_cut_the_vocabulary_are_as_exact_as_one_in_bfloat16) {
  const Weights w = golden_weights();
  std::vector<Settings> all{{DType::bf16}};
#if defined(GEMMATUNE_EMULATED)
  if (!on_real_gpu())
    for (gpu::Level level : {gpu::Level::sm75, gpu::Level::sm80}) all.push_back({DType::bf16, DeviceKind::emulated, level});
#endif
  for (const Settings& s : all)
    for (int size : {2, 3}) {
      const std::vector<GoldenPass> batches = batches_for(size, w.config.vocab_size);
      const std::vector<double> truth = wide(pass_alone(w, {}, joined(batches)).gradient);
      const std::vector<double> one = errors(w.config, wide(pass_alone(w, s, joined(batches)).gradient), truth);
      compare(text(size, " ranks on ", gt::name_of(s.kind), " ", testing::name_of(s.level)), w, s, batches, truth, [&](size_t i) { return 3 * one[i]; }, 2e-3);
    }
}

// 24 rows in multiples of 8 are three slices: the fourth rank has none.
TEST(a_rank_may_have_no_row_of_the_vocabulary) {
  const Weights w = random_weights(small_config(24, 16));
  std::vector<GoldenPass> batches;
  for (int r = 0; r < 4; r++) batches.push_back(batch_with({9, 6 + r}, 24, 4, uint64_t(r + 1)));
  compare("float32", w, {}, batches, wide(pass_alone(w, {}, joined(batches)).gradient), [](size_t) { return kFloat32; }, 1e-6);
#if defined(GEMMATUNE_EMULATED)
  if (on_real_gpu()) return;
  const Settings s{DType::bf16, DeviceKind::emulated};
  const std::vector<double> truth = wide(pass_alone(w, {}, joined(batches)).gradient), one = errors(w.config, wide(pass_alone(w, s, joined(batches)).gradient), truth);
  compare("bfloat16", w, s, batches, truth, [&](size_t i) { return 3 * one[i]; }, 2e-3);
#endif
}

// 1,023 rows of the first slice's logits fit into the room for them, 1,024 of the second's.
TEST(ranks_with_slices_of_unlike_sizes_take_the_same_chunks_of_rows) {
  const Weights w = random_weights(small_config(131080, 8));
  const std::vector<GoldenPass> batches{batch_with({514}, 131080, 2, 1), batch_with({514}, 131080, 2, 2)};
  compare("two chunks", w, {}, batches, wide(pass_alone(w, {}, joined(batches)).gradient), [](size_t) { return kFloat32; }, 1e-6);
}

TEST(passes_with_a_cut_vocabulary_give_the_same_bits_in_every_run) {
  const Weights w = golden_weights();
  std::vector<Settings> all{{}, {DType::bf16}};
#if defined(GEMMATUNE_EMULATED)
  if (!on_real_gpu()) all.push_back({DType::bf16, DeviceKind::emulated});
#endif
  for (const Settings& s : all) {
    const std::vector<GoldenPass> batches = batches_for(3, w.config.vocab_size);
    const std::vector<Result> one = pass_together(w, s, batches), two = pass_together(w, s, batches);
    for (size_t r = 0; r < one.size(); r++)
      check(one[r].metrics.loss_sum == two[r].metrics.loss_sum && one[r].metrics.entropy_sum == two[r].metrics.entropy_sum && !std::memcmp(one[r].gradient.data(), two[r].gradient.data(), one[r].gradient.size() * 4), "rank ", r,
            " has other bits in a second run");
  }
}

TEST(ranks_without_any_target_add_nothing) {
  const Weights w = golden_weights();
  const GoldenPass learnt = batch_with({9}, w.config.vocab_size, 2, 1);
  const std::vector<Result> results = pass_together(w, {}, {without_targets(learnt), {{0}, {}, {}}});
  const std::vector<float> before = begun(w.values.size());
  const std::vector<double> after = whole_gradient(w.config, results);
  for (size_t i = 0; i < after.size(); i++) check(after[i] == double(before[i]), "element ", i, " of the gradient became ", after[i]);
  for (const Result& r : results) {
    check(r.metrics.targets == 0 && r.metrics.loss_sum == 0, "loss ", r.metrics.loss_sum, " of ", r.metrics.targets, " targets");
    check(r.complete == pass_alone(w, {}, learnt).complete, "other ranges are complete than of a pass that learns");
  }
}

TEST(a_bad_batch_fails_on_the_rank_that_has_it) {
  const Weights w = golden_weights();
  const GoldenPass good = batch_with({9}, w.config.vocab_size, 2, 1);
  GoldenPass bad_token = good, bad_target = good;
  bad_token.tokens[3] = int32_t(w.config.vocab_size), bad_target.targets[4] = -5;
  check_throws(Code::kArgument, "tokens[3] is 384, expected a token id from 0 to 383", [&] { pass_together(w, {}, {good, bad_token}); });
  check_throws(Code::kArgument, "targets[4] is -5", [&] { pass_together(w, {}, {bad_target, good}); });
}

// Planned is what the pass takes, and room for the embedded tokens of one slice, which may be all. GPUs are planned some scratch beside.
TEST(the_memory_of_a_pass_with_a_cut_vocabulary_is_planned) {
  const Weights w = golden_weights();
  for (int size : {1, 2, 4}) {
    const GoldenPass same = batch_with({30, 11}, w.config.vocab_size, size, 1);
    for (const Result& r : pass_together(w, {}, std::vector<GoldenPass>(size_t(size), same))) {
      const int64_t spare = int64_t(same.tokens.size()) * size * w.config.hidden_size * 4 + 128;
      check(r.bytes <= r.planned && r.bytes >= r.planned - (size == 1 ? 0 : spare), size, " ranks: a pass takes ", r.bytes, " bytes, planned are ", r.planned);
    }
  }
}
