// A vocabulary that is cut between ranks, one slice of the embedding's rows each. A rank trains its own slice alone: its rows of the weights, their
// gradient and their moments. What crosses the link is hidden rows and their gradients, a few numbers a target, never the slice's gradient.
#pragma once
#include <algorithm>
#include <cstdint>

namespace gt {

struct VocabularySlice {
  int64_t first, count;  // rows
};

// Slices are even but for multiples of 8 rows, which GPU kernels need; with very many ranks the last ones may be empty.
inline VocabularySlice slice_of(int64_t vocab_size, int rank, int size) {
  const int64_t each = ((vocab_size + size - 1) / size + 7) / 8 * 8;
  const int64_t first = std::min(vocab_size, each * rank);
  return {first, std::min(vocab_size, first + each) - first};
}

}  // namespace gt
