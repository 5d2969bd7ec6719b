// The definition of qk_norm_rope in plain loops, generic in the number type.
#pragma once
#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

namespace gt::reference {

struct QkNormRopeShape {
  int64_t T, H, K, D;
};

// q [T, H, D] and k [T, K, D] of qkv [T, H + 2K, D]; cos, sin [P, D/2].
template <class T>
void qk_norm_rope(std::vector<T>& q, std::vector<T>& k, const std::vector<T>& qkv, const std::vector<T>& q_weight, const std::vector<T>& k_weight, const std::vector<T>& cos, const std::vector<T>& sin, const std::vector<int32_t>& positions, QkNormRopeShape s, double eps) {
  const int64_t half = s.D / 2;
  for (int64_t t = 0; t < s.T; t++)
    for (int64_t h = 0; h < s.H + s.K; h++) {
      const bool is_query = h < s.H;
      const T* x = qkv.data() + (t * (s.H + 2 * s.K) + h) * s.D;
      const std::vector<T>& w = is_query ? q_weight : k_weight;
      T* out = is_query ? q.data() + (t * s.H + h) * s.D : k.data() + (t * s.K + h - s.H) * s.D;
      T squares = 0;
      for (int64_t i = 0; i < s.D; i++) squares += x[i] * x[i];
      T rstd = T(1) / std::sqrt(squares / T(s.D) + T(eps));
      for (int64_t i = 0; i < half; i++) {
        T a = x[i] * rstd * (T(1) + w[i]), b = x[half + i] * rstd * (T(1) + w[half + i]);
        T c = cos[positions[t] * half + i], si = sin[positions[t] * half + i];
        out[i] = a * c - b * si;
        out[half + i] = b * c + a * si;
      }
    }
}

// Writes the query and key heads of dqkv, adds to dq_weight and dk_weight.
template <class T>
void qk_norm_rope_backward(std::vector<T>& dqkv, std::vector<T>& dq_weight, std::vector<T>& dk_weight, const std::vector<T>& dq, const std::vector<T>& dk, const std::vector<T>& qkv, const std::vector<T>& q_weight, const std::vector<T>& k_weight, const std::vector<T>& cos, const std::vector<T>& sin, const std::vector<int32_t>& positions, QkNormRopeShape s, double eps) {
  const int64_t half = s.D / 2;
  std::vector<T> g(size_t(s.D));
  for (int64_t t = 0; t < s.T; t++)
    for (int64_t h = 0; h < s.H + s.K; h++) {
      const bool is_query = h < s.H;
      const int64_t at = (t * (s.H + 2 * s.K) + h) * s.D;
      const T* x = qkv.data() + at;
      const std::vector<T>& w = is_query ? q_weight : k_weight;
      std::vector<T>& dw = is_query ? dq_weight : dk_weight;
      const T* dout = is_query ? dq.data() + (t * s.H + h) * s.D : dk.data() + (t * s.K + h - s.H) * s.D;
      T squares = 0, dot = 0;
      for (int64_t i = 0; i < s.D; i++) squares += x[i] * x[i];
      T rstd = T(1) / std::sqrt(squares / T(s.D) + T(eps));
      for (int64_t i = 0; i < half; i++) {
        T c = cos[positions[t] * half + i], si = sin[positions[t] * half + i];
        g[i] = dout[i] * c + dout[half + i] * si;
        g[half + i] = dout[half + i] * c - dout[i] * si;
      }
      for (int64_t i = 0; i < s.D; i++) dot += g[i] * (T(1) + w[i]) * x[i], dw[i] += g[i] * x[i] * rstd;
      for (int64_t i = 0; i < s.D; i++) dqkv[at + i] = rstd * (g[i] * (T(1) + w[i]) - x[i] * rstd * rstd * dot / T(s.D));
    }
}

}  // namespace gt::reference
