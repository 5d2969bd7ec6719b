// CPU backend of matmul for bfloat16 factors on AVX512-BF16: vdpbf16ps adds two exact products per float32 lane and step
// (subnormal inputs and results count as zero there).
#include <immintrin.h>

#include "ops/matmul/registers.h"

namespace gt::cpu {
namespace {

struct PairMath {
  using Unit = Pairs;
  static constexpr int kRows = 8, kColPanels = 3;
  GT_INLINE Register multiply_add(Register a, Register b, Register sum) { return (Register)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
};

}  // namespace

extern const Matmul matmul_avx512bf16;
const Matmul matmul_avx512bf16 = {RegisterKernel<PairMath>::kFamily, run<RegisterKernel<PairMath>>};

}  // namespace gt::cpu
