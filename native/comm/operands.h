// What every communicator checks before a collective, and the words in which errors name it.
#pragma once
#include <numeric>

#include "core/tensor.h"

namespace gt::comm {

// "all_reduce of the gradient, float32 [640]"
inline std::string describe(const char* op, const char* what, const Tensor& x) { return text(op, " of ", what, ", ", x.describe()); }

inline void require_parts(const char* op, const char* what, const Tensor& x, const std::vector<int64_t>& parts, int size) {
  bool ok = int(parts.size()) == size;
  for (int64_t part : parts) ok = ok && part >= 0;
  const int64_t sum = std::accumulate(parts.begin(), parts.end(), int64_t(0));
  require(ok && sum == x.count(), Code::kShape, describe(op, what, x), ": ", parts.size(), " parts hold ", sum, " elements, expected ", size, " parts that hold ", x.count());
}

inline void require_root(const char* what, const Tensor& x, int root, int size) {
  require(root >= 0 && root < size, Code::kArgument, describe("broadcast", what, x), ": root is ", root, ", expected 0 to ", size - 1);
}

// The first element of a rank's part.
inline int64_t first_of(const std::vector<int64_t>& parts, int rank) { return std::accumulate(parts.begin(), parts.begin() + rank, int64_t(0)); }

}  // namespace gt::comm
