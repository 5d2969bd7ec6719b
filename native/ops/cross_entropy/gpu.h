#pragma once
#include "core/tensor.h"
#include "gpu/context.h"

namespace gt::gpu {

// dx sums over the vocabulary: rows are few, so blocks share the sum, so many columns of logits each. By the vocabulary alone: a row's bits do not
// depend on its batch.
constexpr int64_t kVocabularyChunk = 32768;

// V is a multiple of 8; targets [R] on the host.
struct CrossEntropy {
  // logits [R, V], float32 or bfloat16
  void (*forward)(Context&, float* loss, float* entropy, int32_t* correct, const void* logits, DType type, const int32_t* targets, int64_t R, int64_t V);
  // logits [R, V] = x [R, C] · weight [V, C]ᵀ; then dx (=) and dweight (+=). C is a multiple of 8.
  void (*linear)(Context&, float* loss, float* entropy, int32_t* correct, bf16* dx, float* dweight, bf16* logits, const bf16* x, const bf16* weight, const int32_t* targets, int64_t R, int64_t V, int64_t C);

  // Of a slice [first, first + V) of the vocabulary; targets are ids of the whole. statistics [R, 5]: peak, mass, moment, the target's logit
  // (0 where it is in another slice), and the lowest id of the peak as an int32's bits.
  void (*slice_statistics)(Context&, float* statistics, const bf16* logits, const int32_t* targets, int64_t first, int64_t R, int64_t V);
  // statistics [slices, R, 5] in the order of ids; merged [R, 4] is for the gradients of the slice that begins at `first`
  void (*merge)(Context&, float* loss, float* entropy, int32_t* correct, float* merged, const float* statistics, const int32_t* targets, int64_t first, int64_t slices, int64_t R);
  // dx (=) and dweight (+=) of the slice
  void (*slice_dx)(Context&, bf16* dx, const bf16* logits, const float* merged, const bf16* weight, int64_t R, int64_t V, int64_t C);
  void (*slice_dweight)(Context&, float* dweight, const bf16* logits, const float* merged, const bf16* x, int64_t R, int64_t V, int64_t C);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(CrossEntropy, cross_entropy)
