#include "ops/geglu/geglu.h"
#include "ops/geglu/reference.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

template <class E>
void parity(int64_t T, int64_t I, int threads) {
  Device device(DeviceKind::cpu, 0, threads);
  Random random(uint64_t(T * 1000 + I));
  Fenced<E> gate_up(T * 2 * I), dh(T * I), h(T * I), dgate_up(T * 2 * I);
  gate_up.randomize(random, 3);
  dh.randomize(random);

  auto want = reference::geglu(gate_up.values(), T, I);
  auto in_float = reference::geglu(gate_up.template values<float>(), T, I);
  geglu_forward(device, h.tensor({T, I}), gate_up.tensor({T, 2 * I}));
  check_close("h", h, want, max_error(in_float, want));

  auto d_want = reference::geglu_backward(dh.values(), gate_up.values(), T, I);
  auto d_float = reference::geglu_backward(dh.template values<float>(), gate_up.template values<float>(), T, I);
  geglu_backward(device, dgate_up.tensor({T, 2 * I}), dh.tensor({T, I}), gate_up.tensor({T, 2 * I}));
  check_close("dgate_up", dgate_up, d_want, max_error(d_float, d_want));

  geglu_backward(device, gate_up.tensor({T, 2 * I}), dh.tensor({T, I}), gate_up.tensor({T, 2 * I}));
  check(!std::memcmp(gate_up.data(), dgate_up.data(), size_t(gate_up.size()) * sizeof(E)), "in place differs from out of place");
  gate_up.check_fences("gate_up in place");
}

}  // namespace

TEST(geglu_matches_the_reference_on_odd_shapes) {
  for (auto [T, I] : {std::pair<int64_t, int64_t>{1, 1}, {1, 16}, {3, 17}, {9, 2048}, {33, 50}}) {
    parity<float>(T, I, 1);
    parity<bf16>(T, I, 3);
  }
}

TEST(geglu_keeps_relative_accuracy_far_below_zero_and_saturates_above) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> gate_up(10), h(5);
  const double gates[5] = {-30, -6, -4, 12, 1e4};
  for (int i = 0; i < 5; i++) gate_up.set(i, gates[i]), gate_up.set(5 + i, 1);
  geglu_forward(device, h.tensor({1, 5}), gate_up.tensor({1, 10}));
  // x / (1 + e^-z): the form without cancellation
  for (int i = 0; i < 5; i++) {
    double x = gates[i], z = 2 * reference::kGeluSlope * (x + reference::kGeluCubic * x * x * x), want = x / (1 + std::exp(-z));
    check(std::abs(h.get(i) - want) <= 2e-5 * std::abs(want) + 1e-35, "gelu(", x, ") is ", h.get(i), ", expected ", want);
  }
}

TEST(geglu_passes_nan_on) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> gate_up(2), h(1), d(2);
  gate_up.set(0, NAN), gate_up.set(1, 1);
  geglu_forward(device, h.tensor({1, 1}), gate_up.tensor({1, 2}));
  check(std::isnan(h.get(0)), "h is ", h.get(0));
}

TEST(geglu_backward_is_the_derivative_of_forward) {
  const int64_t T = 2, I = 3;
  Random random(5);
  using C64 = std::complex<double>;
  std::vector<C64> x(T * 2 * I);
  std::vector<double> dh(T * I), real;
  for (auto& v : x) v = 2 * random.normal(), real.push_back(v.real());
  for (auto& v : dh) v = random.normal();
  auto d = reference::geglu_backward(dh, real, T, I);
  auto loss = [&] {
    auto h = reference::geglu(x, T, I);
    C64 sum = 0;
    for (size_t i = 0; i < h.size(); i++) sum += h[i] * dh[i];
    return sum;
  };
  for (size_t i = 0; i < x.size(); i++) check(std::abs(complex_step(x, i, loss) - d[i]) < 1e-12, "dgate_up[", i, "]");
}

TEST(geglu_gives_the_same_bits_with_any_thread_count) {
  const int64_t T = 37, I = 33;
  Random random(3);
  Fenced<float> gate_up(T * 2 * I), dh(T * I);
  gate_up.randomize(random), dh.randomize(random);
  std::vector<float> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Fenced<float> h(T * I), d(T * 2 * I);
    geglu_forward(device, h.tensor({T, I}), gate_up.tensor({T, 2 * I}));
    geglu_backward(device, d.tensor({T, 2 * I}), dh.tensor({T, I}), gate_up.tensor({T, 2 * I}));
    std::vector<float> all(h.data(), h.data() + T * I);
    all.insert(all.end(), d.data(), d.data() + T * 2 * I);
    if (first.empty()) first = all;
    check(all == first, "bits differ with ", threads, " threads");
  }
}

TEST(geglu_refuses_shapes_and_types_that_disagree) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> a(12), b(12);
  Fenced<bf16> c(12);
  check_throws(Code::kShape, "h is float32 [2, 2], expected shape [2, 3]", [&] { geglu_forward(device, b.tensor({2, 2}), a.tensor({2, 6})); });
  check_throws(Code::kShape, "gate_up is float32 [2, 5], expected [T, 2I]", [&] { geglu_forward(device, b.tensor({2, 2}), a.tensor({2, 5})); });
  check_throws(Code::kArgument, "h is bfloat16 [2, 3], expected float32", [&] { geglu_forward(device, c.tensor({2, 3}), a.tensor({2, 6})); });
  check_throws(Code::kArgument, "dh is bfloat16 [2, 3], expected float32", [&] { geglu_backward(device, b.tensor({2, 6}), c.tensor({2, 3}), a.tensor({2, 6})); });
}
