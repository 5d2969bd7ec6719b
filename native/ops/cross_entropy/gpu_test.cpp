#include <algorithm>

#include "ops/cross_entropy/cross_entropy.h"
#include "ops/cross_entropy/reference.h"
#include "ops/cross_entropy/test_slices.h"
#include "ops/matmul/reference.h"
#include "testing/gpu_case.h"
#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;

namespace {

struct Statistics {
  OnGpu<float> loss, entropy;
  OnGpu<int32_t> correct;

  Statistics(Device& device, int64_t R) : loss(device, R), entropy(device, R), correct(device, R) {}
  void check_close_to(const reference::CrossEntropy<double>& want, const reference::CrossEntropy<float>& same_precision) {
    check_close("loss", loss, want.loss, max_error(same_precision.loss, want.loss));
    check_close("entropy", entropy, want.entropy, max_error(same_precision.entropy, want.entropy));
  }
  void check_correct(const std::vector<int32_t>& want) {
    correct.check_fences("correct");
    for (int64_t r = 0; r < correct.size(); r++) check(correct[r] == want[size_t(r)], "correct[", r, "] is ", correct[r], ", loss ", loss[r]);
  }
};

template <class E>
struct Forward : Statistics {
  int64_t R, V;
  OnGpu<E> logits;
  std::vector<int32_t> targets;

  Forward(Device& device, int64_t R, int64_t V, double scale) : Statistics(device, R), R(R), V(V), logits(device, R * V) {
    Random random(uint64_t(R * 1000 + V));
    logits.randomize(random, scale);
    for (int64_t r = 0; r < R; r++) targets.push_back(int32_t(random.below(V)));
    for (int64_t r = 0; r < R; r += 2) logits.set(r * V + targets[size_t(r)], 4 * scale);  // some rows right
  }
  void run(Device& device) {
    logits.upload();
    cross_entropy_forward(device, loss.tensor({R}), entropy.tensor({R}), correct.tensor({R}), logits.tensor({R, V}), host_ids(targets.data(), R));
    download(loss, entropy, correct);
  }
};

template <class E>
void forward_parity(Device& device, int64_t R, int64_t V, double scale) {
  Forward<E> c(device, R, V, scale);
  c.run(device);
  const auto want = reference::cross_entropy(c.logits.values(), c.targets, V);
  c.check_close_to(want, reference::cross_entropy(c.logits.template values<float>(), c.targets, V));
  c.check_correct(want.correct);
}

struct Linear : Statistics {
  int64_t R, V, C;
  OnGpu<bf16> x, weight, dx, logits;
  OnGpu<float> dweight;
  std::vector<int32_t> targets;

  Linear(Device& device, int64_t R, int64_t V, int64_t C, double scale = 1) : Statistics(device, R), R(R), V(V), C(C), x(device, R * C), weight(device, V * C), dx(device, R * C), logits(device, R * V), dweight(device, V * C) {
    Random random(uint64_t(R * 1000 + V + C));
    x.randomize(random, scale), weight.randomize(random, 2 / std::sqrt(double(C))), dweight.randomize(random, 0.01);
    for (int64_t r = 0; r < R; r++) targets.push_back(int32_t(random.below(V)));
  }
  void run(Device& device) {
    upload(x, weight, dweight);
    linear_cross_entropy(device, loss.tensor({R}), entropy.tensor({R}), correct.tensor({R}), dx.tensor({R, C}), dweight.tensor({V, C}), logits.tensor({R, V}), x.tensor({R, C}), weight.tensor({V, C}), host_ids(targets.data(), R));
    download(loss, entropy, correct, dx, dweight, logits);
  }
};

void linear_parity(Device& device, int64_t R, int64_t V, int64_t C) {
  Linear c(device, R, V, C);
  auto dweight = c.dweight.values();
  auto dweight_f = c.dweight.values<float>();
  const auto x = c.x.values(), weight = c.weight.values();
  const auto xf = c.x.values<float>(), weight_f = c.weight.values<float>();
  c.run(device);

  const auto want = reference::cross_entropy(reference::matmul(x, weight, R, V, C), c.targets, V);
  const auto dx = reference::matmul_backward_input(want.dlogits, weight, R, V, C);
  reference::matmul_backward_weight(dweight, want.dlogits, x, R, V, C);
  // As PyTorch's bfloat16: logits and their gradient are rounded, the softmax is float32.
  const auto f = reference::cross_entropy(rounded(reference::matmul(xf, weight_f, R, V, C)), c.targets, V);
  const auto dlogits_f = rounded(f.dlogits);
  reference::matmul_backward_weight(dweight_f, dlogits_f, xf, R, V, C);

  c.check_close_to(want, f);
  check_close("dx", c.dx, dx, max_error(rounded(reference::matmul_backward_input(dlogits_f, weight_f, R, V, C)), dx));
  check_close("dweight", c.dweight, dweight, max_error(dweight_f, dweight));
  // Rounded logits tie where exact ones do not: the argmax is that of what the GPU stored.
  c.check_correct(reference::cross_entropy(c.logits.values(), c.targets, V).correct);
  c.logits.check_fences("logits");
}

}  // namespace

TEST(cross_entropy_on_a_gpu_matches_the_reference) {
  on_each_gpu([](Device& device) {
    for (auto [R, V] : {std::pair<int64_t, int64_t>{1, 8}, {2, 16}, {31, 384}, {5, 2048}, {3, 4104}})
      for (double scale : {0.5, 10.0}) {
        forward_parity<float>(device, R, V, scale);
        forward_parity<bf16>(device, R, V, scale);
      }
  });
}

TEST(cross_entropy_on_a_gpu_keeps_its_digits_at_the_full_vocabulary) {
  on_each_gpu([](Device& device) {
    for (double scale : {0.01, 4.0}) {
      Forward<bf16> c(device, 1, 262144, scale);
      c.run(device);
      const auto want = reference::cross_entropy(c.logits.values(), c.targets, c.V);
      check(std::abs(c.loss[0] - want.loss[0]) <= 2e-6 * want.loss[0], "loss ", c.loss[0], ", expected ", want.loss[0]);
      check(std::abs(c.entropy[0] - want.entropy[0]) <= 2e-6 * want.entropy[0], "entropy ", c.entropy[0], ", expected ", want.entropy[0]);
    }
  });
}

TEST(cross_entropy_on_a_gpu_is_sane_for_sure_and_uniform_rows) {
  on_each_gpu([](Device& device) {
    Forward<float> c(device, 3, 64, 1);
    c.logits.fill(0);
    c.logits.set(5, 1e4), c.targets[0] = 5;       // sure and right
    c.logits.set(64 + 5, 1e4), c.targets[1] = 6;  // sure and wrong
    c.targets[2] = 0;                             // all tie, the lowest id is the argmax
    c.run(device);
    check(c.loss[0] == 0 && c.entropy[0] == 0 && c.correct[0] == 1, "right: ", c.loss[0], " ", c.entropy[0]);
    check(c.loss[1] == 1e4f && c.entropy[1] == 0 && c.correct[1] == 0, "wrong: ", c.loss[1], " ", c.entropy[1]);
    check(std::abs(c.loss[2] - std::log(64.)) < 1e-6 && std::abs(c.entropy[2] - std::log(64.)) < 1e-6 && c.correct[2] == 1, "uniform: ", c.loss[2], " ", c.entropy[2]);
  });
}

TEST(cross_entropy_on_a_gpu_gives_ties_to_the_lowest_id) {
  // Within a thread's piece, between its pieces, between lanes, warps and the rounds of a block.
  on_each_gpu([](Device& device) {
    const std::pair<int32_t, int32_t> ties[] = {{0, 1}, {3, 7}, {6, 8}, {9, 250}, {255, 256}, {8, 2056}, {2047, 2048}, {100, 2100}, {2100, 4100}, {4000, 4103}};
    const int64_t V = 4104, R = 2 * int64_t(std::size(ties));
    Forward<bf16> c(device, R, V, 1);
    c.logits.fill(-1);
    for (int64_t r = 0; r < R; r++) {
      const auto [a, b] = ties[r / 2];
      c.logits.set(r * V + a, 2), c.logits.set(r * V + b, 2);
      c.targets[size_t(r)] = r % 2 ? b : a;
    }
    c.run(device);
    for (int64_t r = 0; r < R; r++) check(c.correct[r] == (r % 2 == 0), "ids ", ties[r / 2].first, " and ", ties[r / 2].second);
  });
}

TEST(cross_entropy_on_a_gpu_of_nan_or_infinity_is_nan) {
  on_each_gpu([](Device& device) {
    for (double bad : {double(NAN), double(INFINITY), -double(INFINITY)}) {
      const int64_t at[] = {0, 7, 2050, 4103}, V = 4104, R = 5;
      Forward<float> c(device, R, V, 1);
      for (int64_t r = 0; r < 4; r++) c.logits.set(r * V + at[r], bad);
      c.run(device);
      for (int64_t r = 0; r < 4; r++) check(std::isnan(c.loss[r]) && std::isnan(c.entropy[r]) && c.correct[r] == 0, bad, " at ", at[r], ": loss ", c.loss[r], " entropy ", c.entropy[r]);
      check(std::isfinite(c.loss[4]) && std::isfinite(c.entropy[4]), "the row beside is not finite");
    }
  });
}

TEST(linear_cross_entropy_on_a_gpu_matches_the_reference) {
  on_each_gpu([](Device& device) {
    linear_parity(device, 1, 384, 64);  // a single supervised row
    linear_parity(device, 7, 384, 40);
    linear_parity(device, 31, 4104, 24);
    linear_parity(device, 513, 384, 16);
    linear_parity(device, 260, 392, 264);  // large tiles everywhere
    linear_parity(device, 2, 33288, 8);    // dx sums over two parts of the vocabulary
  });
}

TEST(linear_cross_entropy_on_a_gpu_forms_every_gradient_of_a_logit) {
  // One row of x that is one everywhere: each row of dweight is the gradient of a logit.
  on_each_gpu([](Device& device) {
    const int64_t V = 2056, C = 8;
    for (double spread : {1.0, 25.0}) {
      Linear c(device, 1, V, C);
      Random random(9);
      c.x.fill(1), c.weight.fill(0), c.dweight.fill(0);
      for (int64_t v = 0; v < V; v++) c.weight.set(v * C, -spread * random.uniform());
      c.targets[0] = 1234;
      c.run(device);
      const auto want = reference::cross_entropy(c.logits.values(), c.targets, V);
      // Rounded to 11 bits on sm75, below 2^-29 to multiples of 2^-39; to 8 bits on others. The exponential errs by 2e-6.
      const bool scaled = device.gpu().level == gpu::Level::sm75;
      for (int64_t v = 0; v < V; v++) {
        const double dz = want.dlogits[size_t(v)], limit = std::abs(dz) * ((scaled ? 0x1p-11 : 0x1p-8) + 2e-6) + (scaled ? 0x1p-40 : 0);
        for (int64_t i = 0; i < C; i++) check(std::abs(c.dweight[v * C + i] - dz) <= limit, "gradient of logit ", v, " is ", c.dweight[v * C + i], ", expected ", dz);
      }
    }
  });
}

TEST(linear_cross_entropy_on_a_gpu_is_exact_for_sure_rows) {
  on_each_gpu([](Device& device) {
    const int64_t R = 2, V = 384, C = 16;
    Linear c(device, R, V, C);
    c.x.fill(1), c.weight.fill(0), c.dweight.fill(0.25);
    for (int64_t i = 0; i < C; i++) c.weight.set(7 * C + i, 64);
    c.targets = {7, 300};
    c.run(device);
    check(c.loss[0] == 0 && c.correct[0] == 1 && c.loss[1] == 1024 && c.correct[1] == 0, "losses ", c.loss[0], " ", c.loss[1]);
    for (int64_t i = 0; i < C; i++) {
      check(c.dx.get(i) == 0 && c.dx.get(C + i) == 64, "dx ", c.dx.get(i), " ", c.dx.get(C + i));
      for (int64_t v = 0; v < V; v++) check(c.dweight[v * C + i] == 0.25f + float(v == 7) - float(v == 300), "dweight[", v, "] is ", c.dweight[v * C + i]);
    }
  });
}

TEST(linear_cross_entropy_on_a_gpu_spreads_nan) {
  on_each_gpu([](Device& device) {
    const int64_t R = 3, V = 384, C = 16;
    Linear c(device, R, V, C);
    c.x.set(C + 3, NAN);
    c.run(device);
    check(std::isnan(c.loss[1]) && std::isnan(c.entropy[1]) && c.correct[1] == 0, "loss ", c.loss[1]);
    for (int64_t i = 0; i < C; i++) check(std::isnan(c.dx.get(C + i)), "dx of the row with NaN is ", c.dx.get(C + i));
    for (int64_t r : {0, 2}) {
      check(std::isfinite(c.loss[r]), "loss beside NaN is ", c.loss[r]);
      for (int64_t i = 0; i < C; i++) check(std::isfinite(c.dx.get(r * C + i)), "dx beside NaN is ", c.dx.get(r * C + i));
    }
    for (int64_t i = 0; i < V * C; i++) check(std::isnan(c.dweight[i]), "dweight is ", c.dweight[i]);
  });
}

TEST(linear_cross_entropy_on_a_gpu_gives_a_row_the_same_bits_alone_and_among_others) {
  on_each_gpu([](Device& device) {
    const int64_t V = 392, C = 264;
    for (auto [many, few, first] : {std::array<int64_t, 3>{260, 17, 100}, {13, 1, 9}}) {
      Linear all(device, many, V, C), some(device, few, V, C);
      std::copy_n(all.x.data() + first * C, few * C, some.x.data());
      std::copy_n(all.weight.data(), V * C, some.weight.data());
      some.targets.assign(all.targets.begin() + first, all.targets.begin() + first + few);
      all.run(device), some.run(device);
      check(!std::memcmp(some.dx.data(), all.dx.data() + first * C, size_t(few * C) * 2), "dx of ", few, " rows has other bits than among ", many);
      check(!std::memcmp(some.loss.data(), all.loss.data() + first, size_t(few) * 4), "loss of ", few, " rows has other bits than among ", many);
      check(!std::memcmp(some.entropy.data(), all.entropy.data() + first, size_t(few) * 4), "entropy of ", few, " rows has other bits than among ", many);
    }
  });
}

#if defined(GEMMATUNE_EMULATED)
TEST(linear_cross_entropy_on_a_gpu_gives_the_same_bits_on_every_schedule) {
  if (on_real_gpu()) return;
  const uint64_t usual = emulated::options().seed;
  on_each_gpu([](Device& device) {
    Linear first(device, 35, 392, 72), second(device, 35, 392, 72);
    emulated::options().seed = 21;
    first.run(device);
    emulated::options().seed = 22;
    second.run(device);
    check(same_bits(first.loss, second.loss) && same_bits(first.entropy, second.entropy) && same_bits(first.correct, second.correct), "statistics differ");
    check(same_bits(first.dx, second.dx) && same_bits(first.dweight, second.dweight), "gradients differ");
  });
  emulated::options().seed = usual;
}
#endif

TEST(cross_entropy_on_a_gpu_refuses_what_it_cannot_take) {
  on_each_gpu([](Device& device) {
    Forward<float> odd(device, 2, 12, 1);
    check_throws(Code::kShape, "logits is float32 [2, 12], the ", [&] { odd.run(device); });
    Linear c(device, 2, 16, 8);
    c.targets[1] = 16;
    check_throws(Code::kArgument, "targets[1] is 16", [&] { c.run(device); });
    Linear narrow(device, 2, 16, 12);
    check_throws(Code::kShape, "weight is bfloat16 [16, 12], the ", [&] { narrow.run(device); });
    OnGpu<float> f(device, 64), rows(device, 8);
    OnGpu<int32_t> correct(device, 8);
    const std::vector<int32_t> targets(8, 0);
    check_throws(Code::kArgument, "logits is float32 [8, 8], the ", [&] {
      linear_cross_entropy(device, rows.tensor({8}), rows.tensor({8}), correct.tensor({8}), f.tensor({8, 8}), f.tensor({8, 8}), f.tensor({8, 8}), f.tensor({8, 8}), f.tensor({8, 8}), host_ids(targets.data(), 8));
    });
  });
}

TEST(slices_of_a_vocabulary_match_the_reference_on_a_gpu) {
  on_each_gpu([](Device& device) {
    for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{40}, {16, 24}, {8, 2056, 16}, {200, 192}, {16, 8, 0, 0}}) slices_match_the_reference<bf16>(device, 9, 8, sizes);
    slices_match_the_reference<bf16>(device, 260, 72, {192, 200});
    slices_match_the_reference<bf16>(device, 2, 8, {520, 32776});
  });
}

TEST(slices_of_a_vocabulary_spread_nan_and_break_ties_on_a_gpu) {
  on_each_gpu([](Device& device) {
    slices_spread_nan<bf16>(device);
    slices_spread_an_infinity_in_its_row_alone<bf16>(device);
    slices_take_logits_that_are_far_apart<bf16>(device);
    slices_give_ties_to_the_lowest_id<bf16>(device);
  });
}
