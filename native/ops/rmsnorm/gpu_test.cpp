#include "ops/rmsnorm/reference.h"
#include "ops/rmsnorm/rmsnorm.h"
#include "testing/gpu_case.h"

#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;

namespace {

constexpr float kEps = 1e-6f;

// One row, no multiple of a block's 8 or 16 rows, more than one block; one piece of 8 columns, pieces for some lanes only, several a lane.
const std::pair<int64_t, int64_t> kShapes[] = {{1, 8}, {1, 640}, {31, 264}, {512, 8}, {513, 24}, {19, 2056}};

// What is float32 in memory is held to the error of float32, stricter than PyTorch's modules, which would round it to bfloat16.
template <class T>
double error_of(const std::vector<float>& in_float, const std::vector<double>& want) {
  return max_error(std::is_same_v<T, bf16> ? rounded(in_float) : in_float, want);
}

template <class X>
void forward_case(Device& device, int64_t T, int64_t C, double scale = 3) {
  Random random(uint64_t(T * 1000 + C));
  OnGpu<X> x(device, T * C);
  OnGpu<bf16> weight(device, C), y(device, T * C);
  OnGpu<float> rstd(device, T);
  x.randomize(random, scale), weight.randomize(random, 0.3);
  upload(x, weight);
  rmsnorm_forward(device, y.tensor({T, C}), rstd.tensor({T}), x.tensor({T, C}), weight.tensor({C}), kEps);
  download(y, rstd);

  const auto xs = x.values(), want = reference::rmsnorm(xs, weight.values(), T, C, kEps);
  check_close("y", y, want, error_of<bf16>(reference::rmsnorm(x.template values<float>(), weight.values<float>(), T, C, kEps), want));
  rstd.check_fences("rstd");
  for (int64_t t = 0; t < T; t++) {
    double squares = 0;
    for (int64_t c = 0; c < C; c++) squares += xs[size_t(t * C + c)] * xs[size_t(t * C + c)];
    const double exact = 1 / std::sqrt(squares / double(C) + kEps);
    check(std::abs(rstd[t] - exact) <= 1e-6 * exact, "rstd[", t, "] is ", rstd[t], ", expected ", exact);
  }

  if constexpr (std::is_same_v<X, bf16>) {
    OnGpu<float> residual(device, T * C), out(device, T * C);
    residual.randomize(random), residual.upload();
    rmsnorm_residual_forward(device, out.tensor({T, C}), rstd.tensor({T}), residual.tensor({T, C}), x.tensor({T, C}), weight.tensor({C}), kEps);
    auto in_float = reference::rmsnorm(x.template values<float>(), weight.values<float>(), T, C, kEps);
    auto sum = want;
    for (size_t i = 0; i < sum.size(); i++) sum[i] += residual.get(int64_t(i)), in_float[i] += residual[int64_t(i)];
    out.download();
    check_close("residual + y", out, sum, error_of<float>(in_float, sum));
    // in place
    rmsnorm_residual_forward(device, residual.tensor({T, C}), rstd.tensor({T}), residual.tensor({T, C}), x.tensor({T, C}), weight.tensor({C}), kEps);
    residual.download();
    check(same_bits(residual, out), "in place differs from out of place");
  }
}

// dx and x of type S: float32 is the stream's norm, bfloat16 a branch's.
template <class S>
void backward_case(Device& device, int64_t T, int64_t C, bool accumulate) {
  using DY = std::conditional_t<std::is_same_v<S, float>, bf16, float>;
  Random random(uint64_t(T * 1000 + C + 1));
  OnGpu<S> x(device, T * C), dx(device, T * C);
  OnGpu<DY> dy(device, T * C);
  OnGpu<bf16> weight(device, C), y(device, T * C);
  OnGpu<float> rstd(device, T), dweight(device, C);
  x.randomize(random, 3), weight.randomize(random, 0.3), dy.randomize(random);
  dweight.fill(1);  // += contract
  if (accumulate) dx.fill(2);
  upload(x, weight, dy, dweight, dx);
  rmsnorm_forward(device, y.tensor({T, C}), rstd.tensor({T}), x.tensor({T, C}), weight.tensor({C}), kEps);
  rmsnorm_backward(device, dx.tensor({T, C}), accumulate, dweight.tensor({C}), dy.tensor({T, C}), x.tensor({T, C}), weight.tensor({C}), rstd.tensor({T}));
  download(dx, dweight);

  std::vector<double> dx_want(size_t(T * C)), dweight_want(size_t(C), 1);
  std::vector<float> dx_float(size_t(T * C)), dweight_float(size_t(C), 1);
  reference::rmsnorm_backward(dx_want, dweight_want, dy.template values<double>(), x.template values<double>(), weight.values(), T, C, kEps);
  reference::rmsnorm_backward(dx_float, dweight_float, dy.template values<float>(), x.template values<float>(), weight.values<float>(), T, C, kEps);
  if (accumulate)
    for (size_t i = 0; i < dx_want.size(); i++) dx_want[i] += 2, dx_float[i] += 2;
  check_close("dx", dx, dx_want, error_of<S>(dx_float, dx_want));
  check_close("dweight", dweight, dweight_want, error_of<float>(dweight_float, dweight_want));
}

// The tensors around `middle`, forward and backward, by one fused call each or by the calls that it stands for.
struct Pair {
  OnGpu<float> residual, middle, x_rstd, middle_rstd, dmiddle, dweight, dnext_weight;
  OnGpu<bf16> x, weight, next_weight, normed, branch;  // branch: dnormed, then dx

  Pair(Device& device, int64_t T, int64_t C, bool fused)
      : residual(device, T * C), middle(device, T * C), x_rstd(device, T), middle_rstd(device, T), dmiddle(device, T * C), dweight(device, C), dnext_weight(device, C),
        x(device, T * C), weight(device, C), next_weight(device, C), normed(device, T * C), branch(device, T * C) {
    Random random(5);
    for (auto* t : {&residual, &dmiddle, &dweight, &dnext_weight}) t->randomize(random), t->upload();
    for (auto* t : {&x, &weight, &next_weight, &branch}) t->randomize(random), t->upload();
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
    for (auto* t : {&middle, &x_rstd, &middle_rstd, &dmiddle, &dweight, &dnext_weight}) t->download(), t->check_fences("a float32 tensor");
    for (auto* t : {&normed, &branch}) t->download(), t->check_fences("a bfloat16 tensor");
  }

  void check_same(Pair& o, const char* what) {
    check(same_bits(middle, o.middle) && same_bits(normed, o.normed) && same_bits(x_rstd, o.x_rstd) && same_bits(middle_rstd, o.middle_rstd), "forward: ", what);
    check(same_bits(branch, o.branch) && same_bits(dmiddle, o.dmiddle), "dx or dmiddle: ", what);
    check(same_bits(dweight, o.dweight) && same_bits(dnext_weight, o.dnext_weight), "dweight or dnext_weight: ", what);
  }
};

}  // namespace

TEST(rmsnorm_on_a_gpu_matches_the_reference) {
  on_each_gpu([](Device& device) {
    for (auto [T, C] : kShapes) {
      forward_case<float>(device, T, C);
      forward_case<bf16>(device, T, C);
      backward_case<bf16>(device, T, C, false);
      backward_case<float>(device, T, C, false);
      backward_case<float>(device, T, C, true);
    }
    forward_case<float>(device, 5, 40, 1e-3);  // mean squares as small as eps
  });
}

TEST(rmsnorm_on_a_gpu_gives_the_same_bits_fused_and_each_time) {
  on_each_gpu([](Device& device) {
    for (auto [T, C] : {std::pair<int64_t, int64_t>{1, 8}, {33, 640}, {513, 16}}) {
      Pair single(device, T, C, false), fused(device, T, C, true);
      fused.check_same(single, "fused and single kernels differ");
#if defined(GEMMATUNE_EMULATED)
      emulated::options().seed++;
#endif
      Pair again(device, T, C, true);
      fused.check_same(again, "two runs differ");
    }
  });
}

// A row's result is its own: what it gets in a batch of 20 it gets alone.
TEST(rmsnorm_on_a_gpu_treats_every_row_alike) {
  on_each_gpu([](Device& device) {
    const int64_t T = 20, C = 640;
    Random random(9);
    OnGpu<float> x(device, T * C), rstd(device, T), one_rstd(device, 1);
    OnGpu<bf16> weight(device, C), y(device, T * C), one(device, C);
    x.randomize(random), weight.randomize(random);
    upload(x, weight);
    rmsnorm_forward(device, y.tensor({T, C}), rstd.tensor({T}), x.tensor({T, C}), weight.tensor({C}), kEps);
    y.download();
    for (int64_t t : {0, 7, 19}) {
      rmsnorm_forward(device, one.tensor({1, C}), one_rstd.tensor({1}), x.tensor({T, C}).rows(t, 1), weight.tensor({C}), kEps);
      one.download();
      check(!std::memcmp(one.data(), y.data() + t * C, size_t(C) * sizeof(bf16)), "row ", t);
    }
  });
}

TEST(rmsnorm_on_a_gpu_refuses_what_it_has_no_kernel_for) {
  on_each_gpu([](Device& device) {
    const std::string backend = text("the ", gt::name_of(device.kind), " backend takes ");
    OnGpu<float> x(device, 24), rstd(device, 2), float_weight(device, 8);
    OnGpu<bf16> y(device, 24), weight(device, 12);
    check_throws(Code::kArgument, "rmsnorm: weight is float32 [8], " + backend + "bfloat16", [&] { rmsnorm_forward(device, y.tensor({2, 8}), rstd.tensor({2}), x.tensor({2, 8}), float_weight.tensor({8}), kEps); });
    check_throws(Code::kShape, "rmsnorm: weight is bfloat16 [12], " + backend + "multiples of 8 for C", [&] { rmsnorm_forward(device, y.tensor({2, 12}), rstd.tensor({2}), x.tensor({2, 12}), weight.tensor({12}), kEps); });
    check_throws(Code::kArgument, "rmsnorm: y is float32 [2, 8], " + backend + "bfloat16", [&] { rmsnorm_forward(device, x.tensor({2, 8}), rstd.tensor({2}), x.tensor({2, 8}), weight.tensor({8}), kEps); });
    check_throws(Code::kArgument, "rmsnorm_backward: dy is float32 [2, 8], " + backend + "bfloat16",
                 [&] { rmsnorm_backward(device, x.tensor({2, 8}), true, float_weight.tensor({8}), x.tensor({2, 8}), x.tensor({2, 8}), weight.tensor({8}), rstd.tensor({2})); });
  });
}
