// One run of each kernel of gpu/test_kernels.h on odd shapes and small whole numbers, whose sums are exact at both code paths: the
// result is right to the bit, or wrong. Buffers have exactly the size they need, so that ASan sees what goes beyond.
#pragma once
#include <vector>

#include "gpu/test_kernels.h"
#include "testing/check.h"

namespace gt::testing {

// An array on the device; NaN, or ones in every bit, where it is not filled.
template <class T>
class Array {
 public:
  Array(gpu::Context& context, const std::vector<T>& values) : context_(context), n_(values.size()), data_(static_cast<T*>(context.allocate(n_ * sizeof(T)))) {
    require(data_, Code::kMemory, "no memory on the device");
    context_.copy_from_host(data_, values.data(), n_ * sizeof(T));
  }
  Array(gpu::Context& context, size_t n) : Array(context, unset(n)) {}
  ~Array() { context_.release(data_); }
  Array(const Array&) = delete;
  operator T*() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> v(n_);
    context_.copy_to_host(v.data(), data_, n_ * sizeof(T));
    return v;
  }

 private:
  static std::vector<T> unset(size_t n) {
    std::vector<T> v(n);
    std::memset(static_cast<void*>(v.data()), 0xff, n * sizeof(T));
    return v;
  }
  gpu::Context& context_;
  size_t n_;
  T* data_;
};

inline std::vector<float> whole_numbers(Random& random, size_t n, int most) {
  std::vector<float> v(n);
  for (float& x : v) x = float(random.below(2 * most + 1) - most);
  return v;
}
inline std::vector<bf16> as_bf16(const std::vector<float>& v) {
  std::vector<bf16> r(v.size());
  for (size_t i = 0; i < v.size(); i++) r[i] = to_bf16(v[i]);
  return r;
}

// "right", or the first wrong element.
template <class T>
std::string verdict(const std::vector<T>& got, const std::vector<T>& want) {
  for (size_t i = 0; i < want.size(); i++)
    if (!(got[i] == want[i])) return text("wrong: element ", i, " is ", got[i], ", expected ", want[i]);
  return "right";
}

struct Case {
  const gpu::TestKernels& kernels;
  gpu::Context& context;
  gpu::Bug bug = gpu::Bug::none;

  std::string squares() {
    const int64_t R = 14;
    const int C = 1032;  // some threads have two pieces
    Random random(1);
    const std::vector<float> x = whole_numbers(random, size_t(R * C), 9);
    std::vector<float> want(size_t(R), 0.f);
    for (size_t i = 0; i < x.size(); i++) want[i / size_t(C)] += x[i] * x[i];
    Array<bf16> on_device(context, as_bf16(x));
    Array<float> sums(context, size_t(R + 1));
    kernels.squares(context, bug, sums, on_device, R, C);
    return verdict(sums.values(), want);
  }

  std::string product(bool padded = true) {
    const int M = 100, N = 72, K = 96;
    Random random(2);
    const std::vector<float> a = whole_numbers(random, size_t(M * K), 9), b = whole_numbers(random, size_t(N * K), 9);
    std::vector<float> want(size_t(M * N), 0.f);
    for (int m = 0; m < M; m++)
      for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) want[size_t(m * N + n)] += a[size_t(m * K + k)] * b[size_t(n * K + k)];
    Array<bf16> x(context, as_bf16(a)), y(context, as_bf16(b));
    Array<float> c(context, want.size());
    kernels.product(context, bug, padded, c, x, y, M, N, K);
    return verdict(c.values(), want);
  }

  std::string chain() {
    const int T = 100, D = 32;
    Random random(3);
    const std::vector<float> q = whole_numbers(random, size_t(T * D), 1), k = whole_numbers(random, size_t(T * D), 1), v = whole_numbers(random, size_t(T * D), 9);
    std::vector<float> want(size_t(T * D), 0.f);
    for (int t = 0; t < T; t++)
      for (int s = 0; s < T; s++) {
        float score = 0;
        for (int d = 0; d < D; d++) score += q[size_t(t * D + d)] * k[size_t(s * D + d)];
        for (int d = 0; d < D; d++) want[size_t(t * D + d)] += score * v[size_t(s * D + d)];
      }
    Array<bf16> x(context, as_bf16(q)), y(context, as_bf16(k)), z(context, as_bf16(v));
    Array<float> o(context, want.size());
    kernels.chain(context, bug, o, x, y, z, T);
    return verdict(o.values(), want);
  }

  std::string transpose() {
    const int n = 6;  // the last block is half empty
    std::vector<float> from(n * 1024), want(n * 1024);
    for (size_t i = 0; i < from.size(); i++) from[i] = float(i), want[i / 1024 * 1024 + i % 32 * 32 + i / 32 % 32] = float(i);
    Array<float> x(context, from), y(context, from.size());
    kernels.transpose(context, bug, y, x, n);
    return verdict(y.values(), want);
  }

  std::string reverse() {
    const int steps = 9;
    std::vector<uint32_t> from(steps * 256), want(steps * 256);
    for (size_t i = 0; i < from.size(); i++) from[i] = uint32_t(i), want[i / 256 * 256 + (63 - i / 4 % 64) * 4 + i % 4] = uint32_t(i);
    Array<uint32_t> x(context, from), y(context, from.size());
    kernels.reverse(context, bug, y, x, steps);
    return verdict(y.values(), want);
  }

  std::string rule() {
    Array<int> memory(context, std::vector<int>(64, 0));
    kernels.rule(context, bug, memory);
    std::vector<int> want(64);
    for (int i = 0; i < 64; i++) want[size_t(i)] = i % 32;
    return verdict(memory.values(), want);
  }
};

}  // namespace gt::testing
