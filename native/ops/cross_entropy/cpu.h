#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct CrossEntropy {
  // backward: logits become their gradient
  void (*rows)(Threads&, float* loss, float* entropy, int32_t* correct, void* logits, DType type, const int32_t* targets, int64_t R, int64_t V, bool backward);
};
GT_DECLARE_TABLES(CrossEntropy, cross_entropy);

}  // namespace gt::cpu
