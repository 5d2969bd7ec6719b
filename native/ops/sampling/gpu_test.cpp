#include <numeric>

#include "ops/matmul/matmul.h"
#include "ops/sampling/philox.h"
#include "ops/sampling/reference.h"
#include "ops/sampling/sampling.h"
#include "testing/gpu_case.h"
#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;

namespace {

Sampling options(float temperature, int32_t top_k, double top_p) {
  Sampling s;
  s.temperature = temperature, s.top_k = top_k, s.top_p = top_p, s.seed = 5;
  return s;
}

// One token for each row; row b has key b and step 7.
std::vector<int32_t> next_of(Device& device, OnGpu<float>& logits, int64_t B, const Sampling& s) {
  const int64_t V = logits.size() / B;
  std::vector<int64_t> keys(static_cast<size_t>(B)), steps(size_t(B), 7);
  std::iota(keys.begin(), keys.end(), int64_t(0));
  Fenced<int32_t> next(B);
  logits.upload();
  next_tokens(device, next.tensor({B}), logits.tensor({B, V}), s, keys.data(), steps.data());
  next.check_fences("next");
  return std::vector<int32_t>(next.data(), next.data() + B);
}

// What the reference says of a row. Probabilities of a kernel in float32 differ from it: exp((z - largest) / T) has a relative error of
// |z - largest| / T · 2^-23 from its argument, 2^-22 from expf, and a mass loses 2^-44 of the largest one.
struct Expected {
  std::vector<double> cumulative;  // of the kept tokens, by id
  std::vector<bool> may_stay;      // kept, or so close to the edge of top-p that rounding may keep it
  double slack;                    // of `cumulative` in float32

  Expected(const std::vector<double>& z, const Sampling& s) : may_stay(z.size()) {
    const size_t V = z.size();
    const double largest = *std::max_element(z.begin(), z.end());
    Sampling without_top_p = s;
    without_top_p.top_p = 1;
    const std::vector<double> all = reference::sampling_probabilities(z, without_top_p), p = reference::sampling_probabilities(z, s);

    const auto error = [&](const std::vector<double>& q) {  // of a sum of some of them: that of the part and that of the whole
      double e = double(V) * 0x1p-44;
      for (size_t v = 0; v < V; v++)
        if (q[v] > 0) e += q[v] * ((largest - z[v]) / double(s.temperature) * 0x1p-23 + 0x1p-22);
      return 2 * e;
    };
    slack = error(p);

    // The edge of top-p: tokens that rounding may keep or drop move the others' share.
    std::vector<size_t> ascending(V);
    std::iota(ascending.begin(), ascending.end(), size_t(0));
    std::stable_sort(ascending.begin(), ascending.end(), [&](size_t a, size_t b) { return z[a] < z[b]; });
    const double edge = error(all) + 0x1p-24;  // the share itself is compared in float32
    double so_far = 0, kept = 0, moved = 0;
    for (size_t v = 0; v < V; v++) kept += p[v] > 0 ? all[v] : 0, may_stay[v] = p[v] > 0;
    for (size_t v : ascending) {
      so_far += all[v];
      if (s.top_p < 1 && std::abs(so_far - (1 - s.top_p)) <= edge) may_stay[v] = true, moved += all[v];
    }
    slack += 2 * moved / kept;

    double sum = 0;
    for (double q : p) cumulative.push_back(sum += q);
  }

  void check_token(int32_t token, double u) const {
    check(token >= 0 && size_t(token) < cumulative.size(), "token ", token);
    const size_t t = size_t(token);
    check(may_stay[t], "token ", token, " was drawn, the reference removes it");
    const double from = t ? cumulative[t - 1] : 0, to = cumulative[t];
    check(u >= from - slack && u < to + slack, "token ", token, " has [", from, ", ", to, "), the draw is ", u, ", slack ", slack);
  }
};

void check_rows(Device& device, Random& random, OnGpu<float>& logits, int64_t B, Sampling s) {
  s.seed = random.bits();
  const auto next = next_of(device, logits, B, s);
  const auto z = logits.values();
  const int64_t V = logits.size() / B;
  for (int64_t b = 0; b < B; b++) {
    try {
      Expected({z.begin() + b * V, z.begin() + (b + 1) * V}, s).check_token(next[size_t(b)], uniform(s.seed, b, 7));
    } catch (const Failure& e) {
      throw Failure(text("V = ", V, ", temperature ", s.temperature, ", top_k ", s.top_k, ", top_p ", s.top_p, ", row ", b, ": ", e.what()));
    }
  }
}

}  // namespace

TEST(greedy_on_a_gpu_takes_the_largest_and_the_lowest_id_of_ties) {
  on_each_gpu([](Device& device) {
    Random random(1);
    for (int64_t V : {1, 2, 31, 32, 33, 1000, 8192, 8193, 20001, 262144}) {
      const int64_t B = V > 10000 ? 2 : 5;
      OnGpu<float> logits(device, B * V);
      for (int64_t i = 0; i < B * V; i++) logits.set(i, double(random.below(V > 10000 ? 10000 : 4)) - 8);  // many ties
      const auto next = next_of(device, logits, B, Sampling());
      for (int64_t b = 0; b < B; b++) {
        const float* row = logits.data() + b * V;
        check(next[size_t(b)] == std::max_element(row, row + V) - row, "V = ", V, ", row ", b, ": ", next[size_t(b)]);
      }
    }
    OnGpu<float> zeros(device, 3);
    zeros.set(0, -1), zeros.set(1, -0.0), zeros.set(2, 0.0);
    check(next_of(device, zeros, 1, Sampling())[0] == 1, "-0 and 0 are equal");
  });
}

TEST(sampling_on_a_gpu_draws_as_the_reference) {
  on_each_gpu([](Device& device) {
    Random random(2);
    const std::vector<Sampling> all{options(1, 0, 1), options(0.8f, 20, 1), options(1.3f, 0, 0.8), options(1, 30, 0.95), options(0.5f, 0, 1e-9)};
    for (int64_t V : {1, 32, 33, 1025, 3000}) {
      const int64_t B = 3;
      OnGpu<float> smooth(device, B * V), ties(device, B * V), flat(device, B * V);
      smooth.randomize(random, 2), flat.fill(0.25);
      for (int64_t i = 0; i < B * V; i++) ties.set(i, 0.5 * double(random.below(12)));
      for (const Sampling& s : all)
        for (OnGpu<float>* logits : {&smooth, &ties, &flat}) check_rows(device, random, *logits, B, s);
    }
  });
}

TEST(sampling_on_a_gpu_draws_as_the_reference_at_the_full_vocabulary) {
  on_each_gpu([](Device& device) {
    Random random(4);
    const int64_t B = 1, V = 262144;
    OnGpu<float> logits(device, B * V);
    logits.randomize(random, 3);
    for (const Sampling& s : {options(1, 64, 0.95), options(1, 0, 0.3), options(1, 0, 1)}) check_rows(device, random, logits, B, s);
    logits.fill(-2);
    check_rows(device, random, logits, B, options(1, 0, 0.6));
  });
}

TEST(a_draw_on_a_gpu_depends_on_seed_key_and_step_only) {
  on_each_gpu([](Device& device) {
    const int64_t B = 5, V = 777;
    Random random(3);
    OnGpu<float> logits(device, B * V);
    logits.randomize(random);
    const Sampling s = options(1, 300, 0.9);
    const auto first = next_of(device, logits, B, s);
#if defined(GEMMATUNE_EMULATED)
    emulated::options().seed++;
#endif
    check(next_of(device, logits, B, s) == first, "a second run draws other tokens");
    for (int64_t b = 0; b < B; b++) {
      int32_t alone = -1;
      const int64_t step = 7;
      next_tokens(device, Tensor(&alone, DType::i32, {1}), logits.tensor({B, V}).rows(b, 1), s, &b, &step);
      check(alone == first[size_t(b)], "row ", b, " alone gives ", alone, ", in its batch ", first[size_t(b)]);
    }
  });
}

TEST(sampling_on_a_gpu_takes_masked_and_extreme_logits_and_refuses_damaged_ones) {
  on_each_gpu([](Device& device) {
    const double inf = INFINITY, nan = NAN;
    const auto draw = [&](const std::vector<double>& row, const Sampling& s) {  // in the last of three rows
      const int64_t V = int64_t(row.size());
      OnGpu<float> logits(device, 3 * V);
      for (int64_t i = 0; i < 3 * V; i++) logits.set(i, i < 2 * V ? 0 : row[size_t(i - 2 * V)]);
      return next_of(device, logits, 3, s)[2];
    };
    for (int k : {0, 1, 4}) {
      const int32_t id = draw({-inf, 1, -inf, 1, -inf}, options(1, k, 1));
      check(id == 1 || id == 3, "a masked token was drawn: ", id);
    }
    check(draw({-3e38, 3e38, 0}, options(1e-30f, 0, 0.9)) == 1, "a temperature near 0 is not greedy");
    check(draw({-0.0, 1, 0.0, 0.5}, options(1e-30f, 3, 1)) == 1, "the third largest is twice there");

    for (float temperature : {0.f, 1.f})
      for (const auto& row : {std::vector<double>{1, nan, 2}, {nan, nan}, {2, 1, -nan}, {1, inf}, {-inf, -inf}})
        check_throws(Code::kArgument, "row 2 of the logits holds NaN or its largest is not finite", [&] { draw(row, options(temperature, 0, 0.9)); });
    // None of it is read.
    check_throws(Code::kShape, "backend takes V up to 524288", [&] {
      int32_t next = 0;
      next_tokens(device, Tensor(&next, DType::i32, {1}), Tensor(nullptr, DType::f32, {1, 524289}), Sampling(), nullptr, nullptr);
    });
  });
}

TEST(greedy_tokens_on_a_gpu_are_those_of_the_logits) {
  on_each_gpu([](Device& device) {
    // One row, all of a fused pass, and one more; V no multiple of a block's columns, C no multiple of its step.
    for (auto [B, V, C] : {std::array<int64_t, 3>{1, 24, 8}, {5, 1000, 72}, {8, 328, 64}, {9, 4104, 640}, {16, 40, 136}, {17, 200, 64}}) {
      Random random(uint64_t(B * 1000 + V));
      OnGpu<bf16> x(device, B * C), weight(device, V * C);
      OnGpu<float> logits(device, B * V), untouched(device, B * V);
      x.randomize(random), weight.randomize(random);
      for (int64_t c = 0; c < C; c++) weight.data()[(V - 1) * C + c] = weight.data()[(V / 2) * C + c];  // a tie with a higher id
      upload(x, weight);
      Fenced<int32_t> want(B), got(B);
      matmul_forward(device, logits.tensor({B, V}), x.tensor({B, C}), weight.tensor({V, C}));
      next_tokens(device, want.tensor({B}), logits.tensor({B, V}), {}, nullptr, nullptr);
      greedy_tokens(device, got.tensor({B}), x.tensor({B, C}), weight.tensor({V, C}), untouched.tensor({B, V}));
      for (int64_t b = 0; b < B; b++) check(got[b] == want[b], "B=", B, " V=", V, ": row ", b, " gets ", got[b], ", its logits say ", want[b]);
      got.check_fences("next");
      untouched.download();
      if (B <= 16)
        for (int64_t i = 0; i < B * V; i++) check(std::isnan(untouched[i]), "logits[", i, "] was written");
    }
  });
}

TEST(greedy_tokens_on_a_gpu_take_the_lowest_of_equal_ids_and_refuse_nan) {
  on_each_gpu([](Device& device) {
    const int64_t B = 3, V = 100, C = 16;
    OnGpu<bf16> x(device, B * C), weight(device, V * C);
    OnGpu<float> logits(device, B * V);
    x.fill(1), weight.fill(0.5);
    upload(x, weight);
    Fenced<int32_t> next(B);
    auto run = [&] { greedy_tokens(device, next.tensor({B}), x.tensor({B, C}), weight.tensor({V, C}), logits.tensor({B, V})); };
    run();
    for (int64_t b = 0; b < B; b++) check(next[b] == 0, "row ", b, " gets ", next[b]);
    x.set(1 * C + 3, NAN), x.upload();
    check_throws(Code::kArgument, "greedy_tokens: row 1 of the logits holds NaN or its largest is not finite", run);
    x.set(1 * C + 3, INFINITY), x.upload();
    check_throws(Code::kArgument, "row 1", run);
  });
}
