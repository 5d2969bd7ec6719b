// The kernel family follows the machine; run with GEMMATUNE_CPU=portable, avx2, avx512 and GEMMATUNE_AMX=0 to reach each of them.
#include "ops/matmul/matmul.h"

#include <algorithm>

#include "ops/matmul/reference.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

std::vector<double> magnitudes(std::vector<double> v) {
  for (double& x : v) x = std::abs(x);
  return v;
}

// The error that the same computation makes in float32, summed in order; then, for a bfloat16 result, rounded. With a handful of
// results that order may be lucky: one rounding of the sum of magnitudes is granted in any case.
template <class Out>
double same_precision_error(std::vector<float> in_float, const std::vector<double>& want, const std::vector<double>& sums_of_magnitudes) {
  if (std::is_same_v<Out, bf16>)
    for (float& v : in_float) v = to_float(to_bf16(v));
  return std::max(max_error(in_float, want), 0x1p-24 * *std::max_element(sums_of_magnitudes.begin(), sums_of_magnitudes.end()));
}

template <class In, class Out>
void parity(Device& device, int64_t M, int64_t N, int64_t K) {
  Random random(uint64_t(M * 1000003 + N * 1009 + K));
  Fenced<In> x(M * K), weight(N * K), dy(M * N);
  Fenced<Out> y(M * N), dx(M * K), dweight(N * K);
  x.randomize(random), weight.randomize(random), dy.randomize(random), dweight.randomize(random);
  const std::string shape = text("M=", M, " N=", N, " K=", K);

  auto xs = x.values(), ws = weight.values(), dys = dy.values();
  auto xm = magnitudes(xs), wm = magnitudes(ws), dym = magnitudes(dys);
  auto xf = x.template values<float>(), wf = weight.template values<float>(), dyf = dy.template values<float>();

  auto want = reference::matmul(xs, ws, M, N, K);
  matmul_forward(device, y.tensor({M, N}), x.tensor({M, K}), weight.tensor({N, K}));
  check_close(("y " + shape).c_str(), y, want, same_precision_error<Out>(reference::matmul(xf, wf, M, N, K), want, reference::matmul(xm, wm, M, N, K)));

  want = reference::matmul_backward_input(dys, ws, M, N, K);
  matmul_backward_input(device, dx.tensor({M, K}), dy.tensor({M, N}), weight.tensor({N, K}));
  check_close(("dx " + shape).c_str(), dx, want, same_precision_error<Out>(reference::matmul_backward_input(dyf, wf, M, N, K), want, reference::matmul_backward_input(dym, wm, M, N, K)));

  want = dweight.values();
  auto sums = magnitudes(want);
  reference::matmul_backward_weight(sums, dym, xm, M, N, K);
  auto in_float = dweight.template values<float>();
  reference::matmul_backward_weight(want, dys, xs, M, N, K);
  reference::matmul_backward_weight(in_float, dyf, xf, M, N, K);
  matmul_backward_weight(device, dweight.tensor({N, K}), dy.tensor({M, N}), x.tensor({M, K}));
  check_close(("dweight " + shape).c_str(), dweight, want, same_precision_error<Out>(in_float, want, sums));
}

void parity_of_all_types(int64_t M, int64_t N, int64_t K, int threads) {
  Device device(DeviceKind::cpu, 0, threads);
  parity<float, float>(device, M, N, K);
  parity<float, bf16>(device, M, N, K);
  parity<bf16, float>(device, M, N, K);
  parity<bf16, bf16>(device, M, N, K);
}

template <class T>
std::vector<T> contents(Fenced<T>& f) { return std::vector<T>(f.data(), f.data() + f.size()); }
bool same_bits(const std::vector<bf16>& a, const std::vector<bf16>& b) { return a.size() == b.size() && !std::memcmp(a.data(), b.data(), a.size() * 2); }
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) { return a.size() == b.size() && !std::memcmp(a.data(), b.data(), a.size() * 4); }

template <class In, class Out>
void same_bits_with_any_thread_count(int64_t M, int64_t N, int64_t K) {
  Random random(11);
  Fenced<In> x(M * K), weight(N * K), dy(M * N);
  x.randomize(random), weight.randomize(random), dy.randomize(random);
  std::vector<Out> y_first, dx_first, dweight_first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Fenced<Out> y(M * N), dx(M * K), dweight(N * K);
    dweight.fill(0.5);
    matmul_forward(device, y.tensor({M, N}), x.tensor({M, K}), weight.tensor({N, K}));
    matmul_backward_input(device, dx.tensor({M, K}), dy.tensor({M, N}), weight.tensor({N, K}));
    matmul_backward_weight(device, dweight.tensor({N, K}), dy.tensor({M, N}), x.tensor({M, K}));
    if (threads == 1) y_first = contents(y), dx_first = contents(dx), dweight_first = contents(dweight);
    check(same_bits(contents(y), y_first), "y: bits differ with ", threads, " threads");
    check(same_bits(contents(dx), dx_first), "dx: bits differ with ", threads, " threads");
    check(same_bits(contents(dweight), dweight_first), "dweight: bits differ with ", threads, " threads");
  }
}

template <class T, class Out>
void row_does_not_depend_on_its_neighbours(int64_t M, int64_t N, int64_t K) {
  Device device(DeviceKind::cpu, 0, 2);
  Random random(12);
  Fenced<T> x(M * K), weight(N * K), dy(M * N);
  x.randomize(random), weight.randomize(random), dy.randomize(random);
  Fenced<Out> y(M * N), dx(M * K), y_row(N), dx_row(K);
  matmul_forward(device, y.tensor({M, N}), x.tensor({M, K}), weight.tensor({N, K}));
  matmul_backward_input(device, dx.tensor({M, K}), dy.tensor({M, N}), weight.tensor({N, K}));
  for (int64_t m : {int64_t(0), M / 2, M - 1}) {
    matmul_forward(device, y_row.tensor({1, N}), x.tensor({M, K}).rows(m, 1), weight.tensor({N, K}));
    matmul_backward_input(device, dx_row.tensor({1, K}), dy.tensor({M, N}).rows(m, 1), weight.tensor({N, K}));
    check(!std::memcmp(y_row.data(), y.data() + m * N, size_t(N) * sizeof(Out)), "y: row ", m, " alone has other bits");
    check(!std::memcmp(dx_row.data(), dx.data() + m * K, size_t(K) * sizeof(Out)), "dx: row ", m, " alone has other bits");
  }
}

}  // namespace

TEST(matches_the_reference_on_every_combination_of_small_sizes) {
  const int64_t sizes[] = {1, 2, 3, 7, 16, 17, 31, 33};
  for (int64_t M : sizes)
    for (int64_t N : sizes)
      for (int64_t K : sizes) parity_of_all_types(M, N, K, 2);
}

TEST(matches_the_reference_across_tiles_and_panels) {
  const std::array<int64_t, 3> shapes[] = {{64, 65, 257}, {65, 257, 64}, {257, 64, 65}, {5, 640, 130}, {100, 33, 640}, {49, 97, 145}};
  for (auto [M, N, K] : shapes) parity_of_all_types(M, N, K, 3);
}

TEST(matches_the_reference_across_blocks_of_the_inner_dimension) {
  for (int64_t inner : {4097, 9001}) {
    parity_of_all_types(18, 35, inner, 2);
    parity_of_all_types(18, inner, 35, 2);
    parity_of_all_types(inner, 18, 35, 2);
  }
}

TEST(matches_the_reference_across_blocks_of_the_kept_factor) {
  parity_of_all_types(3400, 3, 640, 2);  // y: more rows of x than are packed at once
  parity_of_all_types(4096, 3, 600, 2);  // dweight: more columns of x
}

TEST(matches_the_reference_on_a_wide_result_with_a_long_inner_dimension) {
  const int64_t M = 3, N = 16500, K = 1100;
  Device device(DeviceKind::cpu, 0, 2);
  Random random(6);
  Fenced<bf16> x(M * K), weight(N * K), y(M * N);
  x.randomize(random), weight.randomize(random);
  auto want = reference::matmul(x.values(), weight.values(), M, N, K);
  auto in_float = reference::matmul(x.values<float>(), weight.values<float>(), M, N, K);
  matmul_forward(device, y.tensor({M, N}), x.tensor({M, K}), weight.tensor({N, K}));
  check_close("y", y, want, same_precision_error<bf16>(in_float, want, magnitudes(want)));
}

TEST(keeps_infinities_and_nan) {
  // In one pair of bfloat16 with finite neighbours, on either side.
  const int64_t M = 20, N = 40, K = 70;
  Device device(DeviceKind::cpu, 0, 2);
  Fenced<bf16> x(M * K), weight(N * K);
  Fenced<float> y(M * N);
  x.fill(1.5), weight.fill(0.75);
  x.set(2 * K + 31, INFINITY), x.set(19 * K + 68, -INFINITY), weight.set(39 * K + 33, INFINITY), x.set(7 * K + 5, NAN);
  matmul_forward(device, y.tensor({M, N}), x.tensor({M, K}), weight.tensor({N, K}));
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      const float got = y[m * N + n];
      const bool nan = m == 7 || (m == 19 && n == 39);
      const float want = m == 19 ? -INFINITY : m == 2 || n == 39 ? INFINITY : 1.5f * 0.75f * float(K);
      check(nan ? std::isnan(got) : got == want, "y[", m, ", ", n, "] is ", got);
    }
}

TEST(sums_small_integers_exactly) {
  // All sums stay below 2^24 (float32) and the results below 2^8 (bfloat16): no order of summation may change them.
  const int64_t M = 21, N = 50, K = 4500;
  Device device(DeviceKind::cpu, 0, 2);
  Random random(5);
  Fenced<bf16> x(M * K), weight(N * K), y(M * N);
  for (int64_t i = 0; i < x.size(); i++) x.set(i, random.below(100) < 2 ? double(random.below(3)) - 1 : 0);
  for (int64_t i = 0; i < weight.size(); i++) weight.set(i, double(random.below(5)) - 2);
  auto want = reference::matmul(x.values(), weight.values(), M, N, K);
  matmul_forward(device, y.tensor({M, N}), x.tensor({M, K}), weight.tensor({N, K}));
  for (int64_t i = 0; i < y.size(); i++) check(y.get(i) == want[size_t(i)], "y[", i, "] is ", y.get(i), ", expected ", want[size_t(i)]);
}

TEST(rounds_a_narrow_sum_once_and_adds_it_before) {
  // Whole numbers below 2^24: float32 sums are exact in any order, so the result is the exact sum, rounded once. Inner dimensions of one tile,
  // of several, and of several blocks with float32 sums between them.
  for (int64_t M : {3, 700, 3000, 9001}) {
    const int64_t N = 37, K = 50;
    Device device(DeviceKind::cpu, 0, 2);
    Random random(13);
    Fenced<bf16> dy(M * N), x(M * K), dweight(N * K);
    for (int64_t i = 0; i < dy.size(); i++) dy.set(i, double(random.below(9)) - 4);
    for (int64_t i = 0; i < x.size(); i++) x.set(i, double(random.below(17)) - 8);
    for (int64_t i = 0; i < dweight.size(); i++) dweight.set(i, 16 * (double(random.below(65)) - 32));
    for (int product = 1; product <= 2; product++) {
      auto want = dweight.values();
      reference::matmul_backward_weight(want, dy.values(), x.values(), M, N, K);
      matmul_backward_weight(device, dweight.tensor({N, K}), dy.tensor({M, N}), x.tensor({M, K}));
      for (int64_t i = 0; i < dweight.size(); i++) {
        const double rounded = to_float(to_bf16(float(want[size_t(i)])));
        check(dweight.get(i) == rounded, "M = ", M, ", product ", product, ": dweight[", i, "] is ", dweight.get(i), ", expected ", rounded, " (", want[size_t(i)], ")");
      }
    }
    dweight.check_fences("dweight");
  }
}

TEST(gives_the_same_bits_with_any_thread_count) {
  same_bits_with_any_thread_count<float, float>(70, 190, 333);
  same_bits_with_any_thread_count<bf16, bf16>(70, 190, 333);
  same_bits_with_any_thread_count<bf16, bf16>(33, 4500, 70);
  same_bits_with_any_thread_count<bf16, bf16>(4500, 33, 70);  // dweight in blocks, with float32 sums between them
}

TEST(gives_a_row_the_same_bits_alone_and_among_others) {
  row_does_not_depend_on_its_neighbours<float, float>(75, 200, 640);
  row_does_not_depend_on_its_neighbours<bf16, float>(75, 200, 640);
  row_does_not_depend_on_its_neighbours<bf16, float>(40, 4500, 70);
  row_does_not_depend_on_its_neighbours<bf16, bf16>(1100, 2100, 1100);  // more float32 sums than are kept at once
}

TEST(backward_is_the_derivative_of_forward) {
  const int64_t M = 2, N = 3, K = 4;
  Random random(7);
  using C64 = std::complex<double>;
  std::vector<C64> x(M * K), w(N * K);
  std::vector<double> dy(M * N);
  for (auto& v : x) v = random.normal();
  for (auto& v : w) v = random.normal();
  for (auto& v : dy) v = random.normal();
  auto loss = [&] {
    auto y = reference::matmul(x, w, M, N, K);
    C64 sum = 0;
    for (size_t i = 0; i < y.size(); i++) sum += y[i] * dy[i];
    return sum;
  };
  std::vector<double> xr, wr, dw(N * K);
  for (auto& v : x) xr.push_back(v.real());
  for (auto& v : w) wr.push_back(v.real());
  auto dx = reference::matmul_backward_input(dy, wr, M, N, K);
  reference::matmul_backward_weight(dw, dy, xr, M, N, K);
  for (size_t i = 0; i < x.size(); i++) check(std::abs(complex_step(x, i, loss) - dx[i]) < 1e-12, "dx[", i, "]");
  for (size_t i = 0; i < w.size(); i++) check(std::abs(complex_step(w, i, loss) - dw[i]) < 1e-12, "dweight[", i, "]");
}

TEST(handles_empty_matrices) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> x(8), weight(12), y(6), dweight(12);
  weight.fill(1), dweight.fill(3);
  matmul_forward(device, y.tensor({0, 3}), x.tensor({0, 4}), weight.tensor({3, 4}));
  matmul_backward_weight(device, dweight.tensor({3, 4}), y.tensor({0, 3}), x.tensor({0, 4}));
  for (int64_t i = 0; i < 12; i++) check(dweight[i] == 3, "dweight[", i, "] is ", dweight[i], " after no tokens, expected 3");
  matmul_forward(device, y.tensor({2, 3}), x.tensor({2, 0}), weight.tensor({3, 0}));
  for (int64_t i = 0; i < 6; i++) check(y[i] == 0, "y[", i, "] is ", y[i], ", an empty sum is 0");
}

TEST(refuses_shapes_and_types_that_disagree) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> x(8), weight(12), y(6);
  Fenced<bf16> small(12);
  Fenced<int32_t> ids(12);
  check_throws(Code::kShape, "matmul_forward: x is float32 [4, 2], expected shape [4, 4]", [&] {
    matmul_forward(device, y.tensor({2, 3}), x.tensor({4, 2}), weight.tensor({3, 4}));
  });
  check_throws(Code::kShape, "y is float32 [3, 2], expected shape [2, 3]", [&] {
    matmul_forward(device, y.tensor({3, 2}), x.tensor({2, 4}), weight.tensor({3, 4}));
  });
  check_throws(Code::kShape, "x is float32 [8], expected a matrix", [&] {
    matmul_forward(device, y.tensor({2, 3}), x.tensor({8}), weight.tensor({3, 4}));
  });
  check_throws(Code::kArgument, "weight is bfloat16 [3, 4], expected float32 as x", [&] {
    matmul_forward(device, y.tensor({2, 3}), x.tensor({2, 4}), small.tensor({3, 4}));
  });
  check_throws(Code::kShape, "dy is float32 [3, 2], expected shape [3, 3]", [&] {
    matmul_backward_input(device, x.tensor({2, 4}), y.tensor({3, 2}), weight.tensor({3, 4}));
  });
  check_throws(Code::kArgument, "dweight is int32 [3, 4], expected float32 or bfloat16", [&] {
    matmul_backward_weight(device, ids.tensor({3, 4}), y.tensor({2, 3}), x.tensor({2, 4}));
  });
}
