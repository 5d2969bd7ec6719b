// Softmax cross entropy over rows of logits, with what training logs about them.
//
//   lse = log sum_v exp z[v];  loss = lse - z[target];  entropy = lse - sum_v p[v] z[v] (nats);  correct = argmax z == target
//   gradient dz[v] = p[v] - (v == target)        (of the sum over tokens, not the mean)
//
// logits float32 or bfloat16 [R, V]; targets int32 [R] on the host, all in [0, V); loss, entropy float32 [R], correct int32 [R] (ties:
// lowest id). A row that holds NaN or an infinity has NaN for loss, entropy and gradient, and correct 0.
// Exponentials are float32; their sums run over fixed parts of a row, so a row has the same bits in any batch.
// GPUs take V (and C) that are multiples of 8.
#pragma once
#include <functional>

#include "core/device.h"
#include "core/tensor.h"

namespace gt {

void cross_entropy_forward(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& logits, const Tensor& targets);

// The tied output projection and its loss, forward and backward:
//   z = x · weightᵀ;  loss, entropy, correct as above;  dx = dz · weight;  dweight += dzᵀ · x
// x, dx [R, C], weight [V, C] and logits [R, V] have one dtype, on GPUs bfloat16; dweight [V, C] is float32, on the CPU also bfloat16 (as in ops/matmul). `logits` is room for z, which is
// rounded to that dtype, and is used up; so is dz where it becomes a factor. Sums are in the order of ops/matmul; on GPUs a row of
// dx has the same bits in all batches on the same side of R = 16.
void linear_cross_entropy(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& dx, const Tensor& dweight, const Tensor& logits, const Tensor& x, const Tensor& weight, const Tensor& targets);

// The vocabulary cut in slices that lie on different devices: what each of them does with its own, [first, first + V) of all ids; V may be 0 but in the first. Every slice says of
// each row what its logits add up to (kSliceStatistics numbers); all of these together give loss, entropy and the gradient of its own logits to every slice.
struct VocabularySlices {
  int64_t first = 0;
  int rank = 0, size = 1;  // which slice this is, of how many; ids grow with the rank
  Tensor statistics;       // room: float32 [size, R, kSliceStatistics]
  Tensor merged;           // room: float32 [R, 4]
  // Called when statistics[rank] is queued; queues the others.
  std::function<void()> exchange;
  // Called, where it is given, when dx is queued, before dweight.
  std::function<void()> dx_queued = {};
};
constexpr int64_t kSliceStatistics = 5;

// linear_cross_entropy of one slice: weight, dweight and logits are the slice's, targets are ids of the whole vocabulary. loss, entropy and correct are the
// whole row's, the same on every slice, bit for bit; dx is the slice's part of a sum over slices.
void linear_cross_entropy_of_slice(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& dx, const Tensor& dweight, const Tensor& logits, const Tensor& x, const Tensor& weight, const Tensor& targets,
                                   const VocabularySlices& slices);

}  // namespace gt
