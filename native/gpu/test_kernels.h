// Kernels for the tests of gpu/ itself: small ones of each kind that ops have, right, and wrong in every way that the emulator should see.
#pragma once
#include "core/bf16.h"
#include "gpu/context.h"

namespace gt::gpu {

enum class Bug {
  none,
  // a barrier is missing: what another thread wrote is read too early; what another thread reads is overwritten too early
  read_too_early,
  write_too_early,
  read_too_early_2,  // at the kernel's second such place
  write_too_early_2,
  no_syncwarp,
  no_wait,      // for cp.async
  short_wait,   // for all but one group more than it should
  // barriers and warp operations that not all reach
  divergent_barrier,
  skipped_barrier,
  early_return,
  shuffle_in_branch,
  divergent_shuffle,
  short_width,  // a shuffle over half the warp
  // memory
  row_not_written,
  unset_static,
  unset_dynamic,
  shared_past_end,
  dynamic_past_end,
  global_past_end,
  no_guard,  // rows past the end are read, and masked later
  ldmatrix_past_row,
  misaligned,
  same_address,  // two blocks write the same there
  // rules
  mask_without_caller,
  mask_of_returned,
  partial_mma,
  newer_instruction,  // of sm_80 in a launch for sm_75
  spin,
  too_much_static,
  too_much_shared,
};

enum class Product { m16n8k8_f16, m16n8k16_f16, m16n8k16_bf16 };

struct TestKernels {
  // sums [R] of the squares of x [R, C]; C a multiple of 8; four rows a block. sums has a slot behind its end.
  void (*squares)(Context&, Bug, float* sums, const bf16* x, int64_t R, int C);
  // c [M, N] = a [M, K] · b [N, K]ᵀ in tiles of 64 x 64, K a multiple of 32; rows in shared memory padded against bank conflicts, or not
  void (*product)(Context&, Bug, bool padded, float* c, const bf16* a, const bf16* b, int M, int N, int K);
  // o [T, 32] = (q · kᵀ) · v, all [T, 32]: keys and values take turns in one buffer, as in attention
  void (*chain)(Context&, Bug, float* o, const bf16* q, const bf16* k, const bf16* v, int T);
  // every 32 x 32 matrix of the n transposed, by one warp
  void (*transpose)(Context&, Bug, float* to, const float* from, int n);
  // steps x 64 pieces of 16 bytes, each 64 reversed, through two buffers and cp.async
  void (*reverse)(Context&, Bug, uint32_t* to, const uint32_t* from, int steps);
  // d [16, 8] = a [16, K] · b [K, 8] + d by one instruction, fragments filled by CuTe's strides
  void (*fragments)(Context&, Product, float* d, const float* a, const float* b);
  // registers [32 lanes, 12] of ldmatrix x4, x4 trans, x2, x2 trans over tile [32 rows, 8] of 16-bit numbers
  void (*ldmatrix)(Context&, uint32_t* registers, const uint16_t* tile);
  // values [kCensus, threads]: what shuffles, votes, barriers that count, and atomics give (see test_cases.h)
  void (*census)(Context&, int* values, int* counters, int threads);
  // breaks a rule
  void (*rule)(Context&, Bug, int* memory);
};
constexpr int kCensus = 17;

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(TestKernels, test_kernels)
