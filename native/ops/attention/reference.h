// The definition of attention in plain loops, generic in the number type. `round` is what a weight goes through on its way into a
// product: nothing in the definition, a rounding in the definition as a kernel of some precision evaluates it.
#pragma once
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

namespace gt::reference {

struct AttentionCase {
  std::vector<int64_t> starts;  // [S + 1]
  int64_t H, K, D;
  double scale;
  int64_t window;
  int64_t tokens() const { return starts.back(); }
  int64_t q(int64_t t, int64_t h) const { return (t * H + h) * D; }
  int64_t k(int64_t t, int64_t h) const { return (t * K + h / (H / K)) * D; }
  int64_t v(int64_t t, int64_t h) const { return (t * (H + 2 * K) + H + K + h / (H / K)) * D; }

  // body(t, h, first visible token) for every query row
  template <class Body>
  void for_rows(const Body& body) const {
    for (size_t i = 0; i + 1 < starts.size(); i++)
      for (int64_t t = starts[i]; t < starts[i + 1]; t++)
        for (int64_t h = 0; h < H; h++) body(t, h, window ? std::max(starts[i], t - window + 1) : starts[i]);
  }
};

template <class T>
T dot(const std::vector<T>& a, int64_t i, const std::vector<T>& b, int64_t j, int64_t D) {
  T sum = 0;
  for (int64_t d = 0; d < D; d++) sum += a[size_t(i + d)] * b[size_t(j + d)];
  return sum;
}

struct Exact {
  template <class T>
  T operator()(T x) const { return x; }
};

template <class T, class Round = Exact>
void attention(std::vector<T>& out, std::vector<T>& lse, const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& qkv, const AttentionCase& c, const Round& round = {}) {
  out.assign(q.size(), T(0));
  lse.assign(q.size() / size_t(c.D), T(0));
  c.for_rows([&](int64_t t, int64_t h, int64_t first) {
    std::vector<T> p;
    for (int64_t u = first; u <= t; u++) p.push_back(T(c.scale) * dot(q, c.q(t, h), k, c.k(u, h), c.D));
    T peak = p[0], total = 0;
    for (T s : p)
      if (std::real(s) > std::real(peak)) peak = s;
    for (T& s : p) total += s = std::exp(s - peak);
    lse[size_t(t * c.H + h)] = peak + std::log(total);
    for (int64_t u = first; u <= t; u++)
      for (int64_t d = 0; d < c.D; d++) out[size_t(c.q(t, h) + d)] += round(p[size_t(u - first)]) / total * qkv[size_t(c.v(u, h) + d)];
  });
}

// Adds to dq, dk and the value heads of dqkv.
template <class T, class Round = Exact>
void attention_backward(std::vector<T>& dq, std::vector<T>& dk, std::vector<T>& dqkv, const std::vector<T>& dout, const std::vector<T>& out, const std::vector<T>& lse, const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& qkv, const AttentionCase& c, const Round& round = {}) {
  c.for_rows([&](int64_t t, int64_t h, int64_t first) {
    const int64_t row = c.q(t, h);
    const T delta = dot(dout, row, out, row, c.D);
    for (int64_t u = first; u <= t; u++) {
      const int64_t key = c.k(u, h), value = c.v(u, h);
      const T p = std::exp(T(c.scale) * dot(q, row, k, key, c.D) - lse[size_t(t * c.H + h)]);
      const T ds = round(p * (dot(dout, row, qkv, value, c.D) - delta)) * T(c.scale);
      for (int64_t d = 0; d < c.D; d++) {
        dq[size_t(row + d)] += ds * k[size_t(key + d)];
        dk[size_t(key + d)] += ds * q[size_t(row + d)];
        dqkv[size_t(value + d)] += round(p) * dout[size_t(row + d)];
      }
    }
  });
}

}  // namespace gt::reference
