#include <set>

#include "ops/sampling/philox.h"
#include "ops/sampling/reference.h"
#include "ops/sampling/sampling.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

Sampling options(float temperature, int32_t top_k, double top_p, uint64_t seed = 1) {
  Sampling s;
  s.temperature = temperature, s.top_k = top_k, s.top_p = top_p, s.seed = seed;
  return s;
}

// `draws` tokens of one row of logits: one row a draw, with keys 0, 1, ...
std::vector<int32_t> draw(Device& device, const std::vector<double>& row, const Sampling& s, int64_t draws) {
  const int64_t V = int64_t(row.size());
  Fenced<float> logits(draws * V);
  Fenced<int32_t> next(draws);
  std::vector<int64_t> keys, steps(size_t(draws), 7);
  for (int64_t b = 0; b < draws; b++) {
    keys.push_back(b);
    for (int64_t v = 0; v < V; v++) logits.set(b * V + v, row[size_t(v)]);
  }
  next_tokens(device, next.tensor({draws}), logits.tensor({draws, V}), s, keys.data(), steps.data());
  next.check_fences("next");
  return std::vector<int32_t>(next.data(), next.data() + draws);
}

const std::vector<double> kPlain{1, 3, 2, 0.5, -1, 2.5, 0, 1.5}, kTies{2, 1, 2, 2, 0, 2, 1, -3}, kUniform(10, 0.0);

}  // namespace

TEST(greedy_takes_the_largest_and_the_lowest_id_of_ties) {
  Device device(DeviceKind::cpu, 0, 3);
  Random random(1);
  for (int64_t V : {1, 2, 15, 16, 17, 1000}) {
    const int64_t B = 5;
    Fenced<float> logits(B * V);
    Fenced<int32_t> next(B);
    for (int64_t i = 0; i < B * V; i++) logits.set(i, double(random.below(4)) - 8);  // many ties
    next_tokens(device, next.tensor({B}), logits.tensor({B, V}), Sampling(), nullptr, nullptr);
    for (int64_t b = 0; b < B; b++) {
      const float* row = logits.data() + b * V;
      check(next[b] == std::max_element(row, row + V) - row, "V = ", V, ", row ", b, ": ", next[b]);
    }
    next.check_fences("next");
  }
}

// transformers 5.18: TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper in this order; the ids they leave.
TEST(filters_keep_what_transformers_keeps) {
  Device device(DeviceKind::cpu, 0, 2);
  struct Golden {
    const std::vector<double>& logits;
    float temperature;
    int32_t top_k;
    double top_p;
    std::set<int32_t> kept;
  };
  const Golden all[] = {
      {kPlain, 1, 3, 1, {1, 2, 5}},
      {kPlain, 1, 0, 0.9, {0, 1, 2, 5, 7}},
      {kPlain, 1, 0, 0.5, {1, 5}},
      {kPlain, 1, 0, 0.2, {1}},
      {kPlain, 0.5, 0, 0.9, {1, 2, 5}},
      {kPlain, 2, 0, 0.9, {0, 1, 2, 3, 5, 7}},
      {kPlain, 0.7f, 5, 0.8, {1, 2, 5}},
      {kPlain, 1, 100, 1, {0, 1, 2, 3, 4, 5, 6, 7}},
      {kPlain, 1, 1, 0.5, {1}},
      {kTies, 1, 2, 1, {0, 2, 3, 5}},
      {kTies, 1, 5, 1, {0, 1, 2, 3, 5, 6}},
      {kTies, 1, 0, 0.5, {2, 3, 5}},
      {kTies, 1, 0, 0.3, {3, 5}},
      {kTies, 1, 6, 0.95, {0, 1, 2, 3, 5, 6}},
      {kUniform, 1, 0, 0.9, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
      {kUniform, 1, 0, 0.5, {5, 6, 7, 8, 9}},
      {kUniform, 1, 0, 0.05, {9}},
      {kUniform, 1, 3, 0.25, {7, 8, 9}},
      {kPlain, 1, 0, 1e-09, {1}},
      {kTies, 1, 0, 1e-09, {5}},
  };
  int number = 0;
  for (const Golden& g : all) {
    const Sampling s = options(g.temperature, g.top_k, g.top_p);
    auto drawn = draw(device, g.logits, s, 3000);
    check(std::set<int32_t>(drawn.begin(), drawn.end()) == g.kept, "case ", number, ": other tokens were drawn");
    auto p = reference::sampling_probabilities(g.logits, s);
    for (size_t v = 0; v < p.size(); v++) check((p[v] > 0) == (g.kept.count(int32_t(v)) == 1), "case ", number, ": the reference differs at token ", v);
    number++;
  }
}

TEST(draws_follow_the_filtered_distribution) {
  Device device(DeviceKind::cpu, 0, 2);
  Random random(2);
  std::vector<double> logits;
  for (int v = 0; v < 40; v++) logits.push_back(float(1.5 * random.normal()));
  for (const Sampling& s : {options(1, 0, 1), options(0.8f, 20, 1), options(1.3f, 0, 0.8), options(1, 30, 0.95)}) {
    const int64_t n = 20000;
    auto p = reference::sampling_probabilities(logits, s);
    std::vector<double> counts(p.size());
    for (int32_t id : draw(device, logits, s, n)) counts[size_t(id)]++;
    double chi2 = 0, bins = 0;
    for (size_t v = 0; v < p.size(); v++) {
      if (p[v] == 0) check(counts[v] == 0, "a removed token was drawn: ", v);
      else chi2 += (counts[v] - n * p[v]) * (counts[v] - n * p[v]) / (n * p[v]), bins++;
    }
    check(chi2 < bins + 5 * std::sqrt(2 * bins), "chi-squared ", chi2, " over ", bins, " tokens");  // mean + 5 sigma
  }
}

TEST(filters_agree_with_the_reference_at_the_full_vocabulary) {
  Device device(DeviceKind::cpu, 0, 2);
  Random random(4);
  std::vector<double> logits;
  for (int v = 0; v < 262144; v++) logits.push_back(float(3 * random.normal()));
  for (const Sampling& s : {options(1, 64, 0.95), options(1, 0, 0.3), options(1.2f, 1000, 1)}) {
    auto p = reference::sampling_probabilities(logits, s);
    for (int32_t id : draw(device, logits, s, 16)) check(p[size_t(id)] > 0, "token ", id, " was drawn, the reference removes it");
  }
}

TEST(a_draw_depends_on_seed_key_and_step_only) {
  const int64_t B = 12, V = 500;
  Random random(3);
  Fenced<float> logits(B * V);
  logits.randomize(random);
  std::vector<int64_t> keys, steps;
  for (int64_t b = 0; b < B; b++) keys.push_back(1000 - b), steps.push_back(b % 3);
  const Sampling s = options(1, 0, 0.99, 42);
  std::vector<int32_t> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Fenced<int32_t> next(B);
    next_tokens(device, next.tensor({B}), logits.tensor({B, V}), s, keys.data(), steps.data());
    std::vector<int32_t> all(next.data(), next.data() + B);
    if (first.empty()) first = all;
    check(all == first, "tokens differ with ", threads, " threads");
    for (int64_t b = 0; b < B; b++) {
      int32_t alone = -1;
      next_tokens(device, Tensor(&alone, DType::i32, {1}), logits.tensor({B, V}).rows(b, 1), s, &keys[size_t(b)], &steps[size_t(b)]);
      check(alone == all[size_t(b)], "row ", b, " alone gives ", alone, ", in its batch ", all[size_t(b)]);
    }
  }
  std::set<double> draws;
  for (uint64_t seed : {0, 1})
    for (int64_t key : {-1, 0, 1})
      for (int64_t step : {0, 1, 2}) draws.insert(uniform(seed, key, step));
  check(draws.size() == 18, "two of seed, key and step give the same number");
}

// Known answers of Random123's kat_vectors.
TEST(philox_gives_the_known_answers) {
  using Four = std::array<uint32_t, 4>;
  check(philox4x32({0, 0, 0, 0}, {0, 0}) == Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, "zeros");
  check(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) == Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, "ones");
  check(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) == Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}, "pi");
}

TEST(sampling_takes_masked_and_extreme_logits) {
  Device device(DeviceKind::cpu, 0, 1);
  const double inf = INFINITY;
  for (int32_t id : draw(device, {-inf, 1, -inf, 1, -inf}, options(1, 0, 1), 100)) check(id == 1 || id == 3, "a masked token was drawn: ", id);
  for (int32_t id : draw(device, {-3e38, 3e38, 0}, options(1e-30f, 0, 0.9), 100)) check(id == 1, "id ", id);
  auto zeros = draw(device, {-0.0, 0.0, -1}, options(1, 1, 1), 100);
  check(std::set<int32_t>(zeros.begin(), zeros.end()) == std::set<int32_t>{0, 1}, "-0 and 0 are equal: both stay");
}

TEST(sampling_refuses_bad_options_and_damaged_logits) {
  Device device(DeviceKind::cpu, 0, 1);
  check_throws(Code::kArgument, "temperature is -1, expected 0 (greedy) or more", [&] { draw(device, kPlain, options(-1, 0, 1), 1); });
  check_throws(Code::kArgument, "top_k is -1, expected 0 (all) or more", [&] { draw(device, kPlain, options(1, -1, 1), 1); });
  check_throws(Code::kArgument, "top_p is 0, expected above 0", [&] { draw(device, kPlain, options(1, 0, 0), 1); });
  check_throws(Code::kArgument, "top_p is 1.5", [&] { draw(device, kPlain, options(1, 0, 1.5), 1); });
  const double inf = INFINITY, nan = NAN;
  for (float temperature : {0.f, 1.f})
    for (const auto& row : {std::vector<double>{1, nan, 2}, {nan, nan}, {1, inf}, {-inf, -inf}})
      check_throws(Code::kArgument, "row 0 of the logits holds NaN or its largest is not finite", [&] { draw(device, row, options(temperature, 0, 0.9), 1); });
  Fenced<float> logits(4);
  Fenced<int32_t> next(3);
  check_throws(Code::kShape, "next is int32 [3], expected shape [2]", [&] { next_tokens(device, next.tensor({3}), logits.tensor({2, 2}), Sampling(), nullptr, nullptr); });
}
