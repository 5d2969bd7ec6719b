// The definition of rmsnorm in plain loops, generic in the number type.
#pragma once
#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

namespace gt::reference {

template <class T>
std::vector<T> rmsnorm(const std::vector<T>& x, const std::vector<T>& weight, int64_t rows, int64_t C, double eps) {
  std::vector<T> y(x.size());
  for (int64_t t = 0; t < rows; t++) {
    T squares = 0;
    for (int64_t c = 0; c < C; c++) squares += x[t * C + c] * x[t * C + c];
    T rstd = T(1) / std::sqrt(squares / T(C) + T(eps));
    for (int64_t c = 0; c < C; c++) y[t * C + c] = x[t * C + c] * rstd * (T(1) + weight[c]);
  }
  return y;
}

template <class T>
void rmsnorm_backward(std::vector<T>& dx, std::vector<T>& dweight, const std::vector<T>& dy, const std::vector<T>& x, const std::vector<T>& weight, int64_t rows, int64_t C, double eps) {
  for (int64_t t = 0; t < rows; t++) {
    T squares = 0, dot = 0;
    for (int64_t c = 0; c < C; c++) squares += x[t * C + c] * x[t * C + c];
    T rstd = T(1) / std::sqrt(squares / T(C) + T(eps));
    for (int64_t c = 0; c < C; c++) dot += dy[t * C + c] * (T(1) + weight[c]) * x[t * C + c];
    for (int64_t c = 0; c < C; c++) {
      dx[t * C + c] = rstd * (dy[t * C + c] * (T(1) + weight[c]) - x[t * C + c] * rstd * rstd * dot / T(C));
      dweight[c] += dy[t * C + c] * x[t * C + c] * rstd;
    }
  }
}

}  // namespace gt::reference
