// The definition of matmul in plain loops, generic in the number type.
#pragma once
#include <cstdint>
#include <vector>

namespace gt::reference {

template <class T>
std::vector<T> matmul(const std::vector<T>& x, const std::vector<T>& weight, int64_t M, int64_t N, int64_t K) {
  std::vector<T> y(size_t(M * N), T(0));
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++)
      for (int64_t k = 0; k < K; k++) y[m * N + n] += x[m * K + k] * weight[n * K + k];
  return y;
}

template <class T>
std::vector<T> matmul_backward_input(const std::vector<T>& dy, const std::vector<T>& weight, int64_t M, int64_t N, int64_t K) {
  std::vector<T> dx(size_t(M * K), T(0));
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++)
      for (int64_t k = 0; k < K; k++) dx[m * K + k] += dy[m * N + n] * weight[n * K + k];
  return dx;
}

template <class T>
void matmul_backward_weight(std::vector<T>& dweight, const std::vector<T>& dy, const std::vector<T>& x, int64_t M, int64_t N, int64_t K) {
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++)
      for (int64_t k = 0; k < K; k++) dweight[n * K + k] += dy[m * N + n] * x[m * K + k];
}

}  // namespace gt::reference
