#include "ops/global_norm/global_norm.h"
#include "ops/global_norm/reference.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

template <class T>
static double norm_of(Device& device, Fenced<T>& x) {
  Fenced<double> out(1);
  global_norm(device, out.tensor({1}), x.tensor({x.size()}));
  out.check_fences("out");
  return out[0];
}

template <class T>
static void parity() {
  Random random(1);
  for (int64_t N : {0, 1, 15, 16, 17, 65536, 65537, 300001}) {
    Device device(DeviceKind::cpu, 0, 2);
    Fenced<T> x(N);  // the fences hold NaN: reading past the end would show
    x.randomize(random, 1e-3);
    double got = norm_of(device, x), want = reference::global_norm(x.values());
    check(std::abs(got - want) <= 1e-13 * want, "N = ", N, ": ", got, ", expected ", want);
  }
}

TEST(global_norm_matches_the_reference_to_double_precision) {
  parity<float>();
  parity<bf16>();
}

TEST(global_norm_neither_overflows_nor_underflows_and_passes_nan_on) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> x(2);
  x.set(0, 3e38), x.set(1, 0);
  check(norm_of(device, x) == double(3e38f), "large");
  x.set(0, 3e-40), x.set(1, 4e-40);
  check(std::abs(norm_of(device, x) - 5e-40) < 1e-44, "small");
  x.set(1, NAN);
  check(std::isnan(norm_of(device, x)), "NaN");
  Fenced<bf16> narrow(17);
  narrow.fill(1), narrow.set(16, INFINITY);
  check(std::isinf(norm_of(device, narrow)), "infinity in bfloat16");
}

template <class T>
static void same_bits_with_any_thread_count() {
  const int64_t N = 700003;
  Random random(3);
  Fenced<T> x(N);
  x.randomize(random);
  double first = 0;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    double norm = norm_of(device, x);
    if (threads == 1) first = norm;
    check(norm == first, "bits differ with ", threads, " threads");
  }
}

TEST(global_norm_gives_the_same_bits_with_any_thread_count) {
  same_bits_with_any_thread_count<float>();
  same_bits_with_any_thread_count<bf16>();
}

TEST(global_norm_refuses_other_shapes_and_types) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> x(4);
  Fenced<int32_t> y(4);
  Fenced<double> out(1);
  check_throws(Code::kShape, "x is float32 [2, 2], expected [N]", [&] { global_norm(device, out.tensor({1}), x.tensor({2, 2})); });
  check_throws(Code::kArgument, "x is int32 [4], expected float32 or bfloat16", [&] { global_norm(device, out.tensor({1}), y.tensor({4})); });
  check_throws(Code::kArgument, "out is float32 [1], expected float64", [&] { global_norm(device, x.tensor({1}), x.tensor({4})); });
}
