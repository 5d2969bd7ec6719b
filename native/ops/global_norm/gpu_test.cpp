#include "ops/global_norm/global_norm.h"
#include "ops/global_norm/reference.h"
#include "testing/gpu_case.h"
#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;

namespace {

double norm_of(Device& device, OnGpu<float>& x) {
  OnGpu<double> out(device, 1);
  x.upload();
  global_norm(device, out.tensor({1}), x.tensor({x.size()}));
  out.download();
  out.check_fences("out");
  return out[0];
}

}  // namespace

// All terms are positive, so each rounding of the longest chain errs by 2^-53 of the sum at most: 64 terms in a thread, 5 steps in a
// warp, 8 over warps, then over at most 19 blocks 1, 5 and 8 more. The root halves: 91 / 2 · 2^-53 < 1e-14.
TEST(global_norm_on_a_gpu_matches_the_reference_to_double_precision) {
  on_each_gpu([](Device& device) {
    Random random(1);
    for (int64_t N : {0, 1, 7, 8, 9, 2048, 16384, 16385, 300001}) {
      OnGpu<float> x(device, N);  // the fences hold NaN: reading past the end would show
      x.randomize(random, 1e-3);
      const double got = norm_of(device, x);
      const long double want = reference::global_norm(x.values<long double>());
      check(std::abs(got - want) <= 1e-14L * want, "N = ", N, ": ", got, ", expected ", want);
#if defined(GEMMATUNE_EMULATED)
      emulated::options().seed++;
#endif
      check(got == norm_of(device, x), "N = ", N, ": a second run gives other bits");
    }
  });
}

TEST(global_norm_on_a_gpu_adds_more_blocks_than_a_block_has_threads) {
  on_each_gpu([](Device& device) {
    const int64_t N = 16384 * 300 + 3;
    OnGpu<float> x(device, N);
    x.fill(0.5);
    check(norm_of(device, x) == std::sqrt(double(N) / 4), "every sum is exact, the norm is ", norm_of(device, x));
  });
}

TEST(global_norm_on_a_gpu_neither_overflows_nor_underflows_and_passes_nan_on) {
  on_each_gpu([](Device& device) {
    OnGpu<float> x(device, 2);
    x.set(0, 3e38), x.set(1, 0);
    check(norm_of(device, x) == double(3e38f), "large");
    x.set(0, 3e-40), x.set(1, 4e-40);
    check(std::abs(norm_of(device, x) - 5e-40) < 1e-44, "small");
    x.set(1, INFINITY);
    check(std::isinf(norm_of(device, x)), "infinite");
    x.set(1, NAN);
    check(std::isnan(norm_of(device, x)), "NaN");
  });
}

TEST(global_norm_on_a_gpu_refuses_unaligned_arenas) {
  on_each_gpu([](Device& device) {
    OnGpu<float> x(device, 4);
    OnGpu<double> out(device, 1);
    check_throws(Code::kArgument, "x starts 4 bytes after a multiple of 16", [&] { global_norm(device, out.tensor({1}), x.tensor({4}).rows(1, 3)); });
  });
}
