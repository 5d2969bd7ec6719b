#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct CrossEntropy {
  // backward: logits become their gradient
  void (*rows)(Threads&, float* loss, float* entropy, int32_t* correct, void* logits, DType type, const int32_t* targets, int64_t R, int64_t V, bool backward);
  // Of a slice [first, first + V) of the vocabulary; targets are ids of the whole. statistics [R, 5]: peak, mass, moment, the target's logit
  // (0 where it is in another slice), and the lowest id of the peak as an int32's bits.
  void (*slice_statistics)(Threads&, float* statistics, const void* logits, DType type, const int32_t* targets, int64_t first, int64_t R, int64_t V);
  // statistics [slices, R, 5] in the order of ids; merged [R, 4]: peak, 1 / mass, gradient at the target, nothing
  void (*merge)(Threads&, float* loss, float* entropy, int32_t* correct, float* merged, const float* statistics, const int32_t* targets, int64_t slices, int64_t R);
  // logits become their gradient
  void (*slice_gradient)(Threads&, void* logits, DType type, const float* merged, const int32_t* targets, int64_t first, int64_t R, int64_t V);
};
GT_DECLARE_TABLES(CrossEntropy, cross_entropy);

}  // namespace gt::cpu
