#include <algorithm>

#include "ops/matmul/cublaslt.h"
#include "ops/matmul/matmul.h"
#include "ops/matmul/reference.h"
#include "testing/gpu_case.h"
#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;

namespace {

// Inputs of the three products, and what they write.
template <class Out>
struct Case {
  int64_t M, N, K;
  OnGpu<bf16> x, weight, dy;
  OnGpu<Out> y, dx;
  OnGpu<float> dweight;

  Case(Device& device, int64_t M, int64_t N, int64_t K) : M(M), N(N), K(K), x(device, M * K), weight(device, N * K), dy(device, M * N), y(device, M * N), dx(device, M * K), dweight(device, N * K) {
    Random random(uint64_t(M * 1000003 + N * 1009 + K));
    x.randomize(random), weight.randomize(random), dy.randomize(random), dweight.randomize(random);
  }
  void run(Device& device) {
    upload(x, weight, dy, dweight);
    matmul_forward(device, y.tensor({M, N}), x.tensor({M, K}), weight.tensor({N, K}));
    matmul_backward_input(device, dx.tensor({M, K}), dy.tensor({M, N}), weight.tensor({N, K}));
    matmul_backward_weight(device, dweight.tensor({N, K}), dy.tensor({M, N}), x.tensor({M, K}));
    download(y, dx, dweight);
  }
};

std::vector<double> magnitudes(std::vector<double> v) {
  for (double& x : v) x = std::abs(x);
  return v;
}

// |got - want| <= (inner + 8) · 2^-23 · sum of magnitudes, element by element: every float32 addition errs by at most one unit of its
// last place (tensor cores cut where others round), and there are `inner` of them, some more between warps and parts. A bfloat16
// result is rounded once more.
template <class Out>
void check_sums(const std::string& name, Fenced<Out>& got, const std::vector<double>& want, const std::vector<double>& sums_of_magnitudes, int64_t inner) {
  got.check_fences(name.c_str());
  for (int64_t i = 0; i < got.size(); i++) {
    const double summed = double(inner + 8) * 0x1p-23 * sums_of_magnitudes[size_t(i)];
    const double limit = summed + (std::is_same_v<Out, bf16> ? 0x1p-8 * (std::abs(want[size_t(i)]) + summed) : 0) + double(inner + 8) * 0x1p-149;
    check(std::abs(got.get(i) - want[size_t(i)]) <= limit, name, "[", i, "] is ", got.get(i), ", expected ", want[size_t(i)], " within ", limit);
  }
}

template <class Out>
void parity(Device& device, int64_t M, int64_t N, int64_t K) {
  Case<Out> c(device, M, N, K);
  const std::string shape = text(" of M=", M, " N=", N, " K=", K);
  auto x = c.x.values(), weight = c.weight.values(), dy = c.dy.values(), dweight = c.dweight.values();
  auto xm = magnitudes(x), wm = magnitudes(weight), dym = magnitudes(dy), dweight_m = magnitudes(dweight);
  reference::matmul_backward_weight(dweight, dy, x, M, N, K);
  reference::matmul_backward_weight(dweight_m, dym, xm, M, N, K);
  c.run(device);
  const auto y = reference::matmul(x, weight, M, N, K), dx = reference::matmul_backward_input(dy, weight, M, N, K);
  check_sums("y" + shape, c.y, y, reference::matmul(xm, wm, M, N, K), K);
  check_sums("dx" + shape, c.dx, dx, reference::matmul_backward_input(dym, wm, M, N, K), N);
  check_sums("dweight" + shape, c.dweight, dweight, dweight_m, M);
  if (std::is_same_v<Out, float>) return;
  // And against PyTorch's bfloat16, which rounds a float32 sum.
  const auto xf = c.x.template values<float>(), wf = c.weight.template values<float>(), dyf = c.dy.template values<float>();
  check_close(("y" + shape).c_str(), c.y, y, max_error(rounded(reference::matmul(xf, wf, M, N, K)), y));
  check_close(("dx" + shape).c_str(), c.dx, dx, max_error(rounded(reference::matmul_backward_input(dyf, wf, M, N, K)), dx));
}

}  // namespace

TEST(matmul_on_a_gpu_matches_the_reference) {
  on_each_gpu([](Device& device) {
    // Few rows and many, one tile and several, ragged in every direction, an inner dimension shorter than a step.
    const std::array<int64_t, 3> shapes[] = {{1, 8, 8}, {3, 24, 200}, {8, 40, 72}, {9, 32, 264}, {16, 80, 64}, {17, 16, 40}, {31, 72, 136}, {65, 64, 24}, {100, 136, 96}, {512, 8, 16}, {513, 24, 8}};
    for (auto [M, N, K] : shapes) {
      parity<bf16>(device, M, N, K);
      parity<float>(device, M, N, K);
    }
  });
}

TEST(matmul_on_a_gpu_matches_the_reference_on_large_tiles) {
  on_each_gpu([](Device& device) {
    // Four tiles of 128 x 128 and more, for each of the three results: as many as the emulated GPU has multiprocessors.
    parity<bf16>(device, 260, 264, 328);
  });
}

TEST(matmul_on_a_gpu_sums_split_token_dimensions) {
  on_each_gpu([](Device& device) {
    parity<float>(device, 1025, 24, 16);
    parity<float>(device, 2111, 8, 40);
  });
}

TEST(matmul_on_a_gpu_takes_no_tokens) {
  on_each_gpu([](Device& device) {
    Case<float> c(device, 0, 16, 8);
    auto before = c.dweight.values();
    c.run(device);
    check(c.dweight.values() == before, "dweight changed");
  });
}

TEST(matmul_on_a_gpu_sums_small_integers_exactly) {
  // Sums stay below 2^24 (float32) and results below 2^8 (bfloat16): no order of summation may change them.
  on_each_gpu([](Device& device) {
    for (int64_t M : {7, 70}) {
      const int64_t N = 72, K = 520;
      Case<bf16> c(device, M, N, K);
      Random random(5);
      for (OnGpu<bf16>* sparse : {&c.x, &c.dy})
        for (int64_t i = 0; i < sparse->size(); i++) sparse->set(i, random.below(10) == 0 ? double(random.below(3)) - 1 : 0);
      for (int64_t i = 0; i < N * K; i++) c.weight.set(i, double(random.below(5)) - 2), c.dweight.set(i, double(random.below(100)));
      auto dweight = c.dweight.values();
      reference::matmul_backward_weight(dweight, c.dy.values(), c.x.values(), M, N, K);
      auto y = reference::matmul(c.x.values(), c.weight.values(), M, N, K), dx = reference::matmul_backward_input(c.dy.values(), c.weight.values(), M, N, K);
      c.run(device);
      check(c.y.values() == y, "y is not exact with ", M, " rows");
      check(c.dx.values() == dx, "dx is not exact with ", M, " rows");
      check(c.dweight.values() == dweight, "dweight is not exact with ", M, " rows");
    }
  });
}

TEST(matmul_on_a_gpu_takes_the_whole_range_of_bfloat16) {
  // gpu/containers.h promises for sm75 what the others do: magnitudes spread over 2^-30 .. 1 of a tensor's largest, whatever that is.
  on_each_gpu([](Device& device) {
    const std::pair<double, double> scales[] = {{1, 1}, {1e6, 1e-30}, {1e-30, 1e-7}, {1e30, 1e-36}, {3e38, 1e-38}, {1e18, 1e18}, {1e-22, 1e-22}};
    for (auto [of_x, of_weight] : scales)
      for (int64_t M : {5, 33}) {
        const int64_t N = 24, K = 72;
        Case<float> c(device, M, N, K);
        Random random{uint64_t(M)};
        auto spread = [&](Fenced<bf16>& v, double largest) {
          for (int64_t i = 0; i < v.size(); i++) v.set(i, (random.below(2) ? 1 : -1) * largest * std::exp2(-30 * random.uniform()));
        };
        spread(c.x, of_x), spread(c.weight, of_weight), spread(c.dy, of_x);
        c.dweight.fill(0);
        std::vector<double> dweight(size_t(N * K)), dweight_m = dweight;
        auto x = c.x.values(), weight = c.weight.values(), dy = c.dy.values();
        auto xm = magnitudes(x), wm = magnitudes(weight), dym = magnitudes(dy);
        c.run(device);
        const std::string shape = text(" of ", of_x, " x ", of_weight, ", M=", M);
        check_sums("y" + shape, c.y, reference::matmul(x, weight, M, N, K), reference::matmul(xm, wm, M, N, K), K);
        check_sums("dx" + shape, c.dx, reference::matmul_backward_input(dy, weight, M, N, K), reference::matmul_backward_input(dym, wm, M, N, K), N);
        if (of_x > 1e17 || of_x < 1e-20) continue;  // dy and x: their product leaves float32
        reference::matmul_backward_weight(dweight, dy, x, M, N, K);
        reference::matmul_backward_weight(dweight_m, dym, xm, M, N, K);
        check_sums("dweight" + shape, c.dweight, dweight, dweight_m, M);
      }
  });
}

TEST(matmul_on_a_gpu_errs_by_the_bound_of_containers_below_their_range) {
  // One number at the top of each factor and all others 2^-37 below: inexact on sm75, by no more than containers.h says.
  on_each_gpu([](Device& device) {
    const int64_t M = 20, N = 16, K = 64;
    Case<float> c(device, M, N, K);
    Random random(2);
    for (OnGpu<bf16>* v : {&c.x, &c.weight})
      for (int64_t i = 0; i < v->size(); i++) v->set(i, 0x1p-37 * (1 + random.uniform()));
    c.x.set(3 * K, 1), c.weight.set(5 * K + 1, 1);
    c.run(device);
    auto want = reference::matmul(c.x.values(), c.weight.values(), M, N, K);
    const double sums = double(K + 8) * 0x1p-23, containers = double(K) * 0x1p-40 * 2;
    for (int64_t i = 0; i < M * N; i++) check(std::abs(c.y[i] - want[size_t(i)]) <= sums * want[size_t(i)] + containers, "y[", i, "] is ", c.y[i], ", expected ", want[size_t(i)]);
  });
}

TEST(matmul_on_a_gpu_keeps_infinities_and_nan) {
  on_each_gpu([](Device& device) {
    for (int64_t M : {12, 20}) {
      const int64_t N = 40, K = 72;
      Case<float> c(device, M, N, K);
      c.x.fill(1.5), c.weight.fill(0.75);
      c.x.set(2 * K + 31, INFINITY), c.x.set((M - 1) * K + 68, -INFINITY), c.weight.set(39 * K + 33, INFINITY), c.x.set(7 * K + 5, NAN);
      c.run(device);
      for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
          const float got = c.y[m * N + n];
          const bool nan = m == 7 || (m == M - 1 && n == 39);
          const float want = m == M - 1 ? -INFINITY : m == 2 || n == 39 ? INFINITY : 1.5f * 0.75f * float(K);
          check(nan ? std::isnan(got) : got == want, "y[", m, ", ", n, "] is ", got);
        }
      for (int64_t n = 0; n < N; n++)
        for (int64_t k : {5, 31, 68}) check(!std::isfinite(c.dweight[n * K + k]), "dweight[", n, ", ", k, "] is ", c.dweight[n * K + k]);
    }
  });
}

TEST(matmul_on_a_gpu_gives_a_row_the_same_bits_alone_and_among_others) {
  on_each_gpu([](Device& device) {
    const int64_t N = 264, K = 136;
    Case<bf16> all(device, 260, N, K);  // large tiles
    all.run(device);
    for (auto [first, M] : {std::pair<int64_t, int64_t>{0, 1}, {3, 5}, {2, 16}, {100, 17}, {190, 70}}) {
      Case<bf16> some(device, M, N, K), fewer(device, 1, N, K);
      std::copy_n(all.x.data() + first * K, M * K, some.x.data());
      std::copy_n(all.dy.data() + first * N, M * N, some.dy.data());
      std::copy_n(all.weight.data(), N * K, some.weight.data());
      some.run(device);
      if (M > 16) check(!std::memcmp(some.y.data(), all.y.data() + first * N, size_t(M * N) * 2), "y: rows ", first, " to ", first + M, " have other bits");
      check(!std::memcmp(some.dx.data(), all.dx.data() + first * K, size_t(M * K) * 2), "dx: rows ", first, " to ", first + M, " have other bits");
      if (M > 16) continue;
      std::copy_n(some.x.data() + (M - 1) * K, K, fewer.x.data());
      std::copy_n(all.weight.data(), N * K, fewer.weight.data());
      fewer.run(device);
      check(!std::memcmp(fewer.y.data(), some.y.data() + (M - 1) * N, size_t(N) * 2), "y: the last of ", M, " rows has other bits alone");
    }
  });
}

#if defined(GEMMATUNE_EMULATED)
TEST(matmul_on_a_gpu_gives_the_same_bits_on_every_schedule) {
  if (on_real_gpu()) return;
  const uint64_t usual = emulated::options().seed;
  on_each_gpu([](Device& device) {
    for (auto [M, N, K] : {std::array<int64_t, 3>{1100, 16, 8}, {13, 48, 200}, {70, 136, 72}}) {
      Case<bf16> first(device, M, N, K), second(device, M, N, K);
      emulated::options().seed = 11;
      first.run(device);
      emulated::options().seed = 12;
      second.run(device);
      check(same_bits(first.y, second.y) && same_bits(first.dx, second.dx) && same_bits(first.dweight, second.dweight), "bits differ for M=", M);
    }
  });
  emulated::options().seed = usual;
}

TEST(matmul_on_a_gpu_reads_shared_memory_without_bank_conflicts) {
  if (on_real_gpu()) return;
  on_each_gpu([](Device& device) {
    for (int64_t side : {64, 256}) {  // tiles of 64 and of 128
      Case<bf16> c(device, side, side, side);
      device.synchronize();
      const emulated::Counters before = emulated::counters();
      c.run(device);
      const emulated::Counters after = emulated::counters();
      check(after.ldmatrix > before.ldmatrix, "no ldmatrix ran on this thread");
      check(after.ldmatrix_waves - before.ldmatrix_waves == after.ldmatrix - before.ldmatrix, "ldmatrix of side ", side, " takes ", double(after.ldmatrix_waves - before.ldmatrix_waves) / double(after.ldmatrix - before.ldmatrix), " waves, expected 1");
    }
  });
}
#endif

TEST(matmul_on_a_gpu_refuses_what_it_cannot_take) {
  on_each_gpu([](Device& device) {
    OnGpu<float> f(device, 64);
    OnGpu<bf16> b(device, 96);
    check_throws(Code::kArgument, "x is float32 [8, 8], the ", [&] { matmul_forward(device, f.tensor({8, 8}), f.tensor({8, 8}), f.tensor({8, 8})); });
    check_throws(Code::kShape, "weight is bfloat16 [8, 12], the ", [&] { matmul_forward(device, f.tensor({8, 8}), b.tensor({8, 12}), b.tensor({8, 12})); });
    check_throws(Code::kShape, "weight is bfloat16 [12, 8], the ", [&] { matmul_backward_input(device, f.tensor({4, 8}), b.tensor({4, 12}), b.tensor({12, 8})); });
    check_throws(Code::kShape, "dweight is float32 [4, 8], the ", [&] { matmul_backward_weight(device, f.tensor({4, 8}), b.tensor({8, 4}), b.tensor({8, 8})); });
  });
}

TEST(matmul_says_what_is_missing_when_cublaslt_is_asked_for) {
  check_throws(Code::kDevice, "looked for /nowhere/libcublasLt.so (", [] { cublaslt::Library library("/nowhere/libcublasLt.so"); });
  check_throws(Code::kDevice, "is not cuBLASLt: it lacks cublasLtCreate", [] { cublaslt::Library library("libc.so.6"); });
}
