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

// What a plan (plan.h) must know of a kernel family.
struct Family {
  int64_t row_panels, col_panels;  // largest tile, in panels of 16
  int64_t per_unit, unit_step;     // a panel's length is a multiple of unit_step units of per_unit elements
  int64_t tile_inner;              // elements of the inner dimension that a tile runs through
};

struct Matmul {
  Family family;
  void (*run)(Threads&, void* scratch, const Product&);  // scratch: scratch_bytes of plan.h, 64-byte aligned
};
GT_DECLARE_TABLES(Matmul, matmul);

// bfloat16 factors only; the caller has asked has_avx512_bf16() or has_amx_bf16().
extern const Matmul matmul_avx512bf16, matmul_amx;

// The one for this machine.
const Matmul& matmul_of(DType factors);

}  // namespace gt::cpu
