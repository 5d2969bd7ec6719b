// The definition of geglu in plain loops, generic in the number type.
#pragma once
#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

namespace gt::reference {

constexpr double kGeluSlope = 0.7978845608028654;  // sqrt(2/pi)
constexpr double kGeluCubic = 0.044715;

template <class T>
T gelu(T x) { return T(0.5) * x * (T(1) + std::tanh(T(kGeluSlope) * (x + T(kGeluCubic) * x * x * x))); }

template <class T>
std::vector<T> geglu(const std::vector<T>& gate_up, int64_t rows, int64_t I) {
  std::vector<T> h(size_t(rows * I));
  for (int64_t t = 0; t < rows; t++)
    for (int64_t i = 0; i < I; i++) h[t * I + i] = gelu(gate_up[t * 2 * I + i]) * gate_up[t * 2 * I + I + i];
  return h;
}

template <class T>
std::vector<T> geglu_backward(const std::vector<T>& dh, const std::vector<T>& gate_up, int64_t rows, int64_t I) {
  std::vector<T> d(gate_up.size());
  for (int64_t t = 0; t < rows; t++)
    for (int64_t i = 0; i < I; i++) {
      T x = gate_up[t * 2 * I + i], up = gate_up[t * 2 * I + I + i], g = dh[t * I + i];
      T tanh_u = std::tanh(T(kGeluSlope) * (x + T(kGeluCubic) * x * x * x));
      T du = T(kGeluSlope) * (T(1) + T(3 * kGeluCubic) * x * x);
      d[t * 2 * I + i] = g * up * (T(0.5) * (T(1) + tanh_u) + T(0.5) * x * (T(1) - tanh_u * tanh_u) * du);
      d[t * 2 * I + I + i] = g * gelu(x);
    }
  return d;
}

}  // namespace gt::reference
