// The definition of embedding in plain loops, generic in the number type.
#pragma once
#include <cstdint>
#include <vector>

namespace gt::reference {

template <class T>
std::vector<T> embedding(const std::vector<T>& table, const std::vector<int32_t>& ids, int64_t C, T scale) {
  std::vector<T> x;
  for (int32_t id : ids)
    for (int64_t c = 0; c < C; c++) x.push_back(scale * table[id * C + c]);
  return x;
}

template <class T>
void embedding_backward(std::vector<T>& dtable, const std::vector<T>& dx, const std::vector<int32_t>& ids, int64_t C, T scale) {
  for (size_t t = 0; t < ids.size(); t++)
    for (int64_t c = 0; c < C; c++) dtable[ids[t] * C + c] += scale * dx[t * C + c];
}

}  // namespace gt::reference
