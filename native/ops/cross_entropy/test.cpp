#include "ops/cross_entropy/cpu.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/cross_entropy/reference.h"
#include "ops/cross_entropy/test_slices.h"
#include "ops/matmul/matmul.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

template <class E>
struct Case {
  int64_t R, V;
  Fenced<E> logits;
  Fenced<float> loss, entropy;
  Fenced<int32_t> correct;
  std::vector<int32_t> targets;

  Case(int64_t R, int64_t V, double scale) : R(R), V(V), logits(R * V), loss(R), entropy(R), correct(R) {
    Random random(uint64_t(R * 1000 + V));
    logits.randomize(random, scale);
    for (int64_t r = 0; r < R; r++) targets.push_back(int32_t(random.below(V)));
    for (int64_t r = 0; r < R; r += 2) logits.set(r * V + targets[size_t(r)], 4 * scale);  // some rows right
  }
  // Backward, which has no door of its own: the logits become their gradient.
  void run(Device& device, bool backward) {
    if (backward) return GT_PICK(cpu::cross_entropy).rows(device.threads(), loss.data(), entropy.data(), correct.data(), logits.data(), dtype_of<E>::value, targets.data(), R, V, true);
    cross_entropy_forward(device, loss.tensor({R}), entropy.tensor({R}), correct.tensor({R}), logits.tensor({R, V}), host_ids(targets.data(), R));
  }
};

template <class E>
void parity(int64_t R, int64_t V, double scale, int threads) {
  Device device(DeviceKind::cpu, 0, threads);
  Case<E> c(R, V, scale);
  auto before = c.logits.values();
  auto want = reference::cross_entropy(before, c.targets, V);
  auto in_float = reference::cross_entropy(c.logits.template values<float>(), c.targets, V);
  c.run(device, false);
  check(c.logits.values() == before, "forward changed the logits");
  check_close("loss", c.loss, want.loss, max_error(in_float.loss, want.loss));
  check_close("entropy", c.entropy, want.entropy, max_error(in_float.entropy, want.entropy));
  for (int64_t r = 0; r < R; r++) check(c.correct[r] == want.correct[size_t(r)], "correct[", r, "]");
  c.correct.check_fences("correct");

  auto loss = c.loss.values(), entropy = c.entropy.values();
  c.run(device, true);
  check(c.loss.values() == loss && c.entropy.values() == entropy, "loss or entropy differs with the backward pass");
  check_close("dlogits", c.logits, want.dlogits, max_error(in_float.dlogits, want.dlogits));
}

}  // namespace

TEST(cross_entropy_matches_the_reference_on_odd_shapes) {
  for (auto [R, V] : {std::pair<int64_t, int64_t>{1, 1}, {2, 2}, {3, 16}, {5, 17}, {7, 1024}, {4, 1041}, {3, 5000}, {20000, 9}}) {
    for (double scale : {0.5, 10.0}) {
      parity<float>(R, V, scale, 1);
      parity<bf16>(R, V, scale, 3);
    }
  }
}

TEST(cross_entropy_keeps_its_digits_at_the_full_vocabulary) {
  Device device(DeviceKind::cpu, 0, 2);
  for (double scale : {0.01, 1.0, 4.0}) {
    Case<float> c(2, 262144, scale);
    auto want = reference::cross_entropy(c.logits.values(), c.targets, c.V);
    c.run(device, true);
    for (int64_t r = 0; r < c.R; r++) {
      check(std::abs(c.loss[r] - want.loss[size_t(r)]) <= 1e-6 * want.loss[size_t(r)], "loss ", c.loss[r], ", expected ", want.loss[size_t(r)]);
      check(std::abs(c.entropy[r] - want.entropy[size_t(r)]) <= 1e-6 * want.entropy[size_t(r)], "entropy ", c.entropy[r], ", expected ", want.entropy[size_t(r)]);
      double sum = 0;
      for (int64_t v = 0; v < c.V; v++) {
        // z - peak reaches -40 and is rounded to 2^-24 of itself, which the exponential turns into a relative error of 2.4e-6
        double p = want.dlogits[size_t(r * c.V + v)], got = c.logits.get(r * c.V + v);
        check(std::abs(got - p) <= 4e-6 * std::abs(p) + 1e-37, "dlogits[", v, "] is ", got, ", expected ", p);
        sum += got;
      }
      check(std::abs(sum) < 1e-6, "a row of the gradient sums to ", sum);
    }
  }
}

TEST(cross_entropy_is_sane_for_sure_and_uniform_rows) {
  Device device(DeviceKind::cpu, 0, 1);
  Case<float> c(3, 64, 1);
  c.logits.fill(0);
  c.logits.set(5, 1e4), c.targets[0] = 5;    // sure and right
  c.logits.set(64 + 5, 1e4), c.targets[1] = 6;  // sure and wrong
  c.targets[2] = 0;                          // uniform: all tie, the lowest id is the argmax
  c.run(device, true);
  check(c.loss[0] == 0 && c.entropy[0] == 0 && c.correct[0] == 1, "right: ", c.loss[0], " ", c.entropy[0]);
  check(c.loss[1] == 1e4f && c.entropy[1] == 0 && c.correct[1] == 0, "wrong: ", c.loss[1], " ", c.entropy[1]);
  check(std::abs(c.loss[2] - std::log(64.)) < 1e-6 && std::abs(c.entropy[2] - std::log(64.)) < 1e-6 && c.correct[2] == 1, "uniform: ", c.loss[2], " ", c.entropy[2]);
  check(c.logits[5] == 0 && c.logits[64 + 5] == 1 && c.logits[64 + 6] == -1, "gradients of sure rows");
}

TEST(cross_entropy_gives_ties_to_the_lowest_id_in_every_lane) {
  Device device(DeviceKind::cpu, 0, 1);
  for (int64_t a = 0; a < 40; a += 3)
    for (int64_t b = a + 1; b < 40; b++) {
      Case<bf16> c(2, 40, 1);
      c.logits.fill(-1);
      for (int64_t r : {0, 1}) c.logits.set(r * 40 + a, 2), c.logits.set(r * 40 + b, 2);
      c.targets = {int32_t(a), int32_t(b)};
      c.run(device, false);
      check(c.correct[0] == 1 && c.correct[1] == 0, "ids ", a, " and ", b);
    }
}

TEST(cross_entropy_of_nan_or_infinity_is_nan) {
  Device device(DeviceKind::cpu, 0, 1);
  for (double bad : {double(NAN), double(INFINITY), -double(INFINITY)})
    for (int64_t at : {0, 7, 16, 18}) {
      Case<float> c(1, 19, 1);
      c.logits.set(at, bad);
      c.run(device, true);
      check(std::isnan(c.loss[0]) && std::isnan(c.entropy[0]) && c.correct[0] == 0, bad, " at ", at, ": loss ", c.loss[0]);
      for (int64_t v = 0; v < 19; v++) check(std::isnan(c.logits[v]), bad, " at ", at, ": dlogits[", v, "] is ", c.logits[v]);
    }
}

TEST(cross_entropy_gradient_is_the_derivative_of_the_loss) {
  const int64_t V = 6;
  Random random(5);
  using C64 = std::complex<double>;
  std::vector<C64> z(2 * V);
  std::vector<double> real;
  for (auto& v : z) v = random.normal(), real.push_back(v.real());
  std::vector<int32_t> targets{4, 0};
  auto want = reference::cross_entropy(real, targets, V);
  auto loss = [&] {
    auto out = reference::cross_entropy(z, targets, V);
    return out.loss[0] + out.loss[1];
  };
  for (size_t i = 0; i < z.size(); i++) check(std::abs(complex_step(z, i, loss) - want.dlogits[i]) < 1e-12, "dlogits[", i, "]");
}

TEST(cross_entropy_gives_the_same_bits_with_any_thread_count_and_batch) {
  std::vector<float> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Case<float> c(9, 3001, 2);
    auto row = c.logits.values<float>();
    c.run(device, true);
    auto all = c.logits.values<float>();
    for (int64_t r = 0; r < 9; r++) all.push_back(c.loss[r]), all.push_back(c.entropy[r]);
    if (first.empty()) first = all;
    check(all == first, "bits differ with ", threads, " threads");

    Case<float> alone(1, 3001, 2);
    for (int64_t v = 0; v < 3001; v++) alone.logits[v] = row[size_t(4 * 3001 + v)];
    alone.targets[0] = c.targets[4];
    alone.run(device, false);
    check(alone.loss[0] == c.loss[4] && alone.entropy[0] == c.entropy[4], "a row alone differs from the row in its batch");
  }
}

template <class DW>
static void linear_is_its_four_steps() {
  Device device(DeviceKind::cpu, 0, 2);
  const int64_t R = 5, V = 37, C = 9;
  Case<bf16> steps(R, V, 1), fused(R, V, 1);
  Fenced<bf16> x(R * C), weight(V * C), dx(R * C), dx_steps(R * C);
  Fenced<DW> dweight(V * C), dweight_steps(V * C);
  Random random(4);
  x.randomize(random), weight.randomize(random), dweight.fill(0.5), dweight_steps.fill(0.5);
  linear_cross_entropy(device, fused.loss.tensor({R}), fused.entropy.tensor({R}), fused.correct.tensor({R}), dx.tensor({R, C}), dweight.tensor({V, C}), fused.logits.tensor({R, V}), x.tensor({R, C}), weight.tensor({V, C}), host_ids(fused.targets.data(), R));
  matmul_forward(device, steps.logits.tensor({R, V}), x.tensor({R, C}), weight.tensor({V, C}));
  steps.run(device, true);
  matmul_backward_input(device, dx_steps.tensor({R, C}), steps.logits.tensor({R, V}), weight.tensor({V, C}));
  matmul_backward_weight(device, dweight_steps.tensor({V, C}), steps.logits.tensor({R, V}), x.tensor({R, C}));
  check(fused.loss.values() == steps.loss.values() && fused.entropy.values() == steps.entropy.values() && fused.correct.values() == steps.correct.values(), "statistics differ");
  check(dx.values() == dx_steps.values() && dweight.values() == dweight_steps.values(), "gradients differ");
  dweight.check_fences("dweight");
}

TEST(linear_cross_entropy_is_its_four_steps_on_a_cpu) {
  linear_is_its_four_steps<float>();
  linear_is_its_four_steps<bf16>();
}

TEST(cross_entropy_refuses_bad_targets_and_shapes) {
  Device device(DeviceKind::cpu, 0, 1);
  Case<float> c(2, 5, 1);
  c.targets[1] = 5;
  check_throws(Code::kArgument, "targets[1] is 5, expected a token id from 0 to 4", [&] { c.run(device, false); });
  c.targets[1] = -100;
  check_throws(Code::kArgument, "targets[1] is -100", [&] { c.run(device, false); });
  check_throws(Code::kShape, "loss is float32 [1], expected shape [2]", [&] {
    cross_entropy_forward(device, c.loss.tensor({1}), c.entropy.tensor({2}), c.correct.tensor({2}), c.logits.tensor({2, 5}), Tensor(c.targets.data(), DType::i32, {2}));
  });
  Fenced<float> x(2 * 3), weight(5 * 3);
  auto linear = [&](const Tensor& dx) {
    c.targets[1] = 0;
    linear_cross_entropy(device, c.loss.tensor({2}), c.entropy.tensor({2}), c.correct.tensor({2}), dx, weight.tensor({5, 3}), c.logits.tensor({2, 5}), x.tensor({2, 3}), weight.tensor({5, 3}), host_ids(c.targets.data(), 2));
  };
  check_throws(Code::kShape, "dx is float32 [3, 2], expected shape [2, 3]", [&] { linear(x.tensor({3, 2})); });
  Fenced<bf16> narrow(2 * 3);
  check_throws(Code::kArgument, "dx is bfloat16 [2, 3], expected float32", [&] { linear(narrow.tensor({2, 3})); });
}

TEST(slices_of_a_vocabulary_match_the_reference_on_a_cpu) {
  Device device(DeviceKind::cpu, 0, 2);
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{40}, {16, 24}, {1, 37, 2}, {1024, 1041, 8}, {8, 8, 3, 0, 0}}) {
    slices_match_the_reference<float>(device, 9, 8, sizes);
    slices_match_the_reference<bf16>(device, 9, 8, sizes);
  }
}

TEST(slices_of_a_vocabulary_spread_nan_and_break_ties_on_a_cpu) {
  Device device(DeviceKind::cpu, 0, 1);
  slices_spread_nan<float>(device), slices_spread_nan<bf16>(device);
  slices_spread_an_infinity_in_its_row_alone<float>(device), slices_spread_an_infinity_in_its_row_alone<bf16>(device);
  slices_take_logits_that_are_far_apart<float>(device), slices_take_logits_that_are_far_apart<bf16>(device);
  slices_give_ties_to_the_lowest_id<float>(device), slices_give_ties_to_the_lowest_id<bf16>(device);
}

TEST(a_slice_of_a_vocabulary_refuses_what_it_cannot_do) {
  Device device(DeviceKind::cpu, 0, 1);
  Slices<float> c(device, 2, 8, {8, 8});
  const auto with = [&](int rank, std::initializer_list<int64_t> shape, int64_t V = 8) {
    OnGpu<float> room(device, 20), merged(device, 8), logits(device, 16);
    linear_cross_entropy_of_slice(device, c.loss.tensor({4}).rows(0, 2), c.entropy.tensor({4}).rows(0, 2), c.correct.tensor({4}).rows(0, 2), c.x.tensor({2, 8}), c.dweight.tensor({16, 8}).rows(0, V), logits.tensor({2, V}), c.x.tensor({2, 8}),
                                  c.weight.tensor({16, 8}).rows(0, V), host_ids(c.targets.data(), 2), {0, rank, 2, room.tensor(shape), merged.tensor({2, 4}), [] {}});
  };
  check_throws(Code::kArgument, "slice 2 of 2", [&] { with(2, {2, 2, 5}); });
  check_throws(Code::kArgument, "slice 0 has no ids", [&] { with(0, {2, 2, 5}, 0); });
  check_throws(Code::kShape, "statistics is float32 [20], expected shape [2, 2, 5]", [&] { with(1, {20}); });
}
