#include "ops/rmsnorm/reference.h"
#include "ops/rmsnorm/rmsnorm.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

constexpr float kEps = 1e-6f;

double difference(const std::vector<float>& a, const std::vector<double>& b) { return max_error(a, b); }

template <class X, class W, class Y, class DW>
void parity(int64_t T, int64_t C, int threads) {
  Device device(DeviceKind::cpu, 0, threads);
  Random random(uint64_t(T * 1000 + C));
  Fenced<X> x(T * C);
  Fenced<W> weight(C);
  Fenced<Y> y(T * C), dy(T * C);
  Fenced<float> rstd(T), dx(T * C), residual(T * C), out(T * C);
  Fenced<DW> dweight(C);
  x.randomize(random, 3);
  weight.randomize(random, 0.3);
  dy.randomize(random);
  residual.randomize(random);

  auto xs = x.values(), ws = weight.values(), dys = dy.values();
  auto want = reference::rmsnorm(xs, ws, T, C, kEps);
  auto in_float = reference::rmsnorm(x.template values<float>(), weight.template values<float>(), T, C, kEps);
  double float_error = difference(in_float, want);

  rmsnorm_forward(device, y.tensor({T, C}), rstd.tensor({T}), x.tensor({T, C}), weight.tensor({C}), kEps);
  check_close("y", y, want, float_error);
  rstd.check_fences("rstd");

  rmsnorm_residual_forward(device, out.tensor({T, C}), rstd.tensor({T}), residual.tensor({T, C}), x.tensor({T, C}), weight.tensor({C}), kEps);
  auto with_residual = want;
  for (size_t i = 0; i < want.size(); i++) with_residual[i] += residual.get(int64_t(i));
  check_close("residual + y", out, with_residual, float_error);

  std::vector<double> dx_want(xs.size()), dweight_want(ws.size(), 1);
  reference::rmsnorm_backward(dx_want, dweight_want, dys, xs, ws, T, C, kEps);
  std::vector<float> dx_float(xs.size()), dweight_float(ws.size(), 1);
  reference::rmsnorm_backward(dx_float, dweight_float, dy.template values<float>(), x.template values<float>(), weight.template values<float>(), T, C, kEps);
  dweight.fill(1);  // += contract
  rmsnorm_backward(device, dx.tensor({T, C}), false, dweight.tensor({C}), dy.tensor({T, C}), x.tensor({T, C}), weight.tensor({C}), rstd.tensor({T}));
  check_close("dx", dx, dx_want, difference(dx_float, dx_want));
  check_close("dweight", dweight, dweight_want, difference(dweight_float, dweight_want));
}

}  // namespace

TEST(matches_the_reference_on_odd_shapes) {
  for (auto [T, C] : {std::pair<int64_t, int64_t>{1, 2}, {1, 16}, {3, 17}, {33, 640}, {65, 24}, {100, 639}, {20000, 3}}) {
    parity<float, float, float, float>(T, C, 1);
    parity<float, bf16, bf16, float>(T, C, 2);
    parity<bf16, bf16, bf16, float>(T, C, 3);
    parity<float, bf16, bf16, bf16>(T, C, 1);
    parity<bf16, bf16, float, bf16>(T, C, 2);
  }
}

TEST(backward_is_the_derivative_of_forward) {
  const int64_t T = 2, C = 5;
  Random random(7);
  using C64 = std::complex<double>;
  std::vector<C64> x(T * C), w(C);
  std::vector<double> dy(T * C);
  for (auto& v : x) v = random.normal();
  for (auto& v : w) v = random.normal();
  for (auto& v : dy) v = random.normal();
  auto loss = [&] {
    auto y = reference::rmsnorm(x, w, T, C, kEps);
    C64 sum = 0;
    for (size_t i = 0; i < y.size(); i++) sum += y[i] * dy[i];
    return sum;
  };
  std::vector<double> xr, wr, dx(T * C), dw(C);
  for (auto& v : x) xr.push_back(v.real());
  for (auto& v : w) wr.push_back(v.real());
  reference::rmsnorm_backward(dx, dw, dy, xr, wr, T, C, kEps);
  for (size_t i = 0; i < x.size(); i++) check(std::abs(complex_step(x, i, loss) - dx[i]) < 1e-12, "dx[", i, "]");
  for (size_t i = 0; i < w.size(); i++) check(std::abs(complex_step(w, i, loss) - dw[i]) < 1e-12, "dweight[", i, "]");
}

template <class DW>
static void accumulates_the_same_bits_with_any_thread_count() {
  const int64_t T = 97, C = 50;
  Random random(3);
  Fenced<float> x(T * C), w(C), dy(T * C), rstd(T), y(T * C);
  x.randomize(random), w.randomize(random), dy.randomize(random);
  std::vector<float> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Fenced<float> dx(T * C);
    Fenced<DW> dw(C);
    dx.fill(2), dw.fill(0);
    rmsnorm_forward(device, y.tensor({T, C}), rstd.tensor({T}), x.tensor({T, C}), w.tensor({C}), kEps);
    rmsnorm_backward(device, dx.tensor({T, C}), true, dw.tensor({C}), dy.tensor({T, C}), x.tensor({T, C}), w.tensor({C}), rstd.tensor({T}));
    std::vector<float> all(dx.data(), dx.data() + T * C);
    for (int64_t c = 0; c < C; c++) all.push_back(float(dw.get(c)));
    if (first.empty()) first = all;
    check(all == first, "bits differ with ", threads, " threads");
  }
}

TEST(accumulates_and_gives_the_same_bits_with_any_thread_count) {
  accumulates_the_same_bits_with_any_thread_count<float>();
  accumulates_the_same_bits_with_any_thread_count<bf16>();
}

// Many small terms beside a large sum: to nearest, each by itself would be lost.
TEST(rounds_a_narrow_dweight_once_a_call) {
  const int64_t T = 4000, C = 33;
  Device device(DeviceKind::cpu, 0, 2);
  Fenced<float> x(T * C), w(C), dy(T * C), rstd(T), dx(T * C);
  Fenced<bf16> dw(C);
  x.fill(1), w.fill(0), rstd.fill(1), dy.fill(1. / 64), dw.fill(256);
  rmsnorm_backward(device, dx.tensor({T, C}), false, dw.tensor({C}), dy.tensor({T, C}), x.tensor({T, C}), w.tensor({C}), rstd.tensor({T}));
  for (int64_t c = 0; c < C; c++) check(dw.get(c) == to_float(to_bf16(256 + 62.5f)), "dweight[", c, "] is ", dw.get(c));
}

// In place too: a block's gradient of `normed` and of x share a buffer.
TEST(the_fused_pair_gives_the_bits_of_the_calls_it_stands_for) {
  const int64_t T = 35, C = 50;
  Device device(DeviceKind::cpu, 0, 2);
  std::vector<double> first;
  for (bool fused : {false, true}) {
    Random random(11);
    Fenced<float> residual(T * C), middle(T * C), dmiddle(T * C), x_rstd(T), middle_rstd(T), dweight(C), dnext_weight(C);
    Fenced<bf16> x(T * C), normed(T * C), branch(T * C), weight(C), next_weight(C);
    for (auto* t : {&residual, &dmiddle, &dweight, &dnext_weight}) t->randomize(random);
    for (auto* t : {&x, &branch, &weight, &next_weight}) t->randomize(random);
    const auto rows = [&](auto& t) { return t.tensor({T, C}); };
    const Tensor w = weight.tensor({C}), next_w = next_weight.tensor({C}), r = x_rstd.tensor({T}), next_r = middle_rstd.tensor({T});
    if (fused) {
      rmsnorm_residual_rmsnorm_forward(device, rows(middle), rows(normed), r, next_r, rows(residual), rows(x), w, next_w, kEps);
      rmsnorm_residual_rmsnorm_backward(device, rows(branch), rows(dmiddle), dweight.tensor({C}), dnext_weight.tensor({C}), rows(branch), rows(x), w, r, rows(middle), next_w, next_r);
    } else {
      rmsnorm_residual_forward(device, rows(middle), r, rows(residual), rows(x), w, kEps);
      rmsnorm_forward(device, rows(normed), next_r, rows(middle), next_w, kEps);
      rmsnorm_backward(device, rows(dmiddle), true, dnext_weight.tensor({C}), rows(branch), rows(middle), next_w, next_r);
      rmsnorm_backward(device, rows(branch), false, dweight.tensor({C}), rows(dmiddle), rows(x), w, r);
    }
    std::vector<double> all;
    for (auto values : {middle.values(), x_rstd.values(), middle_rstd.values(), dmiddle.values(), dweight.values(), dnext_weight.values(), normed.values(), branch.values()}) all.insert(all.end(), values.begin(), values.end());
    if (first.empty()) first = all;
    check(all == first, "bits differ");
  }
}

TEST(refuses_shapes_that_disagree) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> x(8), y(8), rstd(3), w(4);
  check_throws(Code::kShape, "rstd is float32 [3], expected shape [2]", [&] {
    rmsnorm_forward(device, y.tensor({2, 4}), rstd.tensor({3}), x.tensor({2, 4}), w.tensor({4}), kEps);
  });
}
