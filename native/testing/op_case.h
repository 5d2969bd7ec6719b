// What every op test needs: buffers with fences, the error of a result against a double reference, and limits that are derived.
#pragma once
#include <complex>
#include <cstring>
#include <vector>

#include "core/tensor.h"
#include "testing/check.h"

namespace gt::testing {

// A buffer between two fences. Outputs that are written with `=` start as NaN; check_fences() fails if a kernel wrote outside.
template <class T>
class Fenced {
 public:
  explicit Fenced(int64_t n) : n_(n), raw_(size_t(n + 2 * kFence)) {
    std::memset(raw_.data(), 0xff, raw_.size() * sizeof(T));  // NaN as float32 and as bfloat16
  }
  T* data() { return raw_.data() + kFence; }
  int64_t size() const { return n_; }
  T& operator[](int64_t i) { return data()[i]; }
  Tensor tensor(std::initializer_list<int64_t> shape) { return Tensor(data(), dtype_of<T>::value, shape); }
  void fill(double v) {
    for (int64_t i = 0; i < n_; i++) set(i, v);
  }
  void randomize(Random& random, double scale = 1) {
    for (int64_t i = 0; i < n_; i++) set(i, scale * random.normal());
  }
  void set(int64_t i, double v) {
    if constexpr (std::is_same_v<T, bf16>) data()[i] = to_bf16(float(v));
    else data()[i] = T(v);
  }
  double get(int64_t i) {
    if constexpr (std::is_same_v<T, bf16>) return to_float(data()[i]);
    else return double(data()[i]);
  }
  // As doubles (or complex doubles): the exact values that the kernel sees, for the reference.
  template <class U = double>
  std::vector<U> values() {
    std::vector<U> v(static_cast<size_t>(n_));
    for (int64_t i = 0; i < n_; i++) v[size_t(i)] = U(get(i));
    return v;
  }
  void check_fences(const char* name) {
    const unsigned char* bytes = reinterpret_cast<const unsigned char*>(raw_.data());
    size_t fence = kFence * sizeof(T), all = raw_.size() * sizeof(T);
    for (size_t i = 0; i < fence; i++)
      check(bytes[i] == 0xff && bytes[all - 1 - i] == 0xff, name, ": a kernel wrote outside its buffer");
  }

 protected:
  static constexpr int64_t kFence = 64;
  int64_t n_;
  std::vector<T> raw_;
};

// Largest absolute difference; NaN in `got` counts as infinite.
template <class T>
double max_error(Fenced<T>& got, const std::vector<double>& want) {
  check(size_t(got.size()) == want.size(), "sizes differ: ", got.size(), " and ", want.size());
  double worst = 0;
  for (int64_t i = 0; i < got.size(); i++) {
    double e = std::abs(got.get(i) - want[size_t(i)]);
    if (!(e <= worst)) worst = std::isnan(e) ? INFINITY : e;
  }
  return worst;
}
inline double max_error(const std::vector<float>& got, const std::vector<double>& want) {
  double worst = 0;
  for (size_t i = 0; i < want.size(); i++) {
    double e = std::abs(double(got[i]) - want[i]);
    if (!(e <= worst)) worst = std::isnan(e) ? INFINITY : e;
  }
  return worst;
}

// A kernel may err at most 3 times as much as the reference evaluated in the kernel's own precision (flash-attention's rule), plus
// one rounding of the largest result: limit = 3 · error(reference in float or rounded to bf16) + 2^-23 or 2^-8 · max |want|.
template <class T>
void check_close(const char* name, Fenced<T>& got, const std::vector<double>& want, double same_precision_error) {
  double largest = 0;
  for (double w : want) largest = std::max(largest, std::abs(w));
  double limit = 3 * same_precision_error + (std::is_same_v<T, bf16> ? 0x1p-8 : 0x1p-23) * largest;
  double error = max_error(got, want);
  check(error <= limit, name, ": error ", error, " exceeds ", limit, " (largest value ", largest, ")");
  got.check_fences(name);
}

// Derivative of a real-analytic scalar function by a complex step: no cancellation, exact to rounding (Squire & Trapp 1998).
constexpr double kComplexStep = 1e-50;
template <class F>
double complex_step(std::vector<std::complex<double>>& x, size_t i, const F& f) {
  x[i] += std::complex<double>(0, kComplexStep);
  double d = std::imag(f()) / kComplexStep;
  x[i] = std::real(x[i]);
  return d;
}

}  // namespace gt::testing
