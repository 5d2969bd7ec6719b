#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct Embedding {
  void (*forward)(Threads&, float* x, const void* table, DType table_type, const int32_t* ids, int64_t T, int64_t C, float scale);
  // order [T]: token positions sorted by id, then by position; group g (of G) is order[starts[g]] .. order[starts[g + 1] - 1], all of one id
  void (*backward)(Threads&, void* dtable, DType table_type, const float* dx, const int32_t* ids, const int32_t* order, const int32_t* starts, int64_t G, int64_t C, float scale);
};
GT_DECLARE_TABLES(Embedding, embedding);

}  // namespace gt::cpu
