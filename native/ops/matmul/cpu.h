// The CPU backend of matmul: one product, several kernel families (see blocked.h for how they share a driver).
#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

// A factor seen as rows x inner: element (r, k) is at data[r * row_stride + k * inner_stride]. One of the strides is 1.
struct Factor {
  const void* data;
  int64_t row_stride, inner_stride;
};

// out[i, j] = (out[i, j] +) sum_k a(i, k) b(j, k)
struct Product {
  Factor a, b;
  DType factors;  // of a and b
  void* out;      // [rows, cols]
  DType out_type;
  bool accumulate;
  int64_t rows, cols, inner;
  bool keep_b;  // which factor is packed first and kept for all tasks; the other one is cut into tasks. The smaller one: b or a
};

struct Matmul {
  size_t (*scratch_bytes)(int threads, const Product&);
  void (*run)(Threads&, void* scratch, const Product&);  // scratch: 64-byte aligned
};
GT_DECLARE_TABLES(Matmul, matmul);

// bfloat16 factors only; the caller has asked has_avx512_bf16() or has_amx_bf16().
extern const Matmul matmul_avx512bf16, matmul_amx;

}  // namespace gt::cpu
