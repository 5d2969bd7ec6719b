// CPU backend of matmul in float32 arithmetic. bfloat16 factors are widened while they are packed.
#include "ops/matmul/registers.h"

namespace gt::cpu {
namespace {

template <class UnitType>
struct FloatMath {
  using Unit = UnitType;
  // As many sums as the registers hold beside one row of the right factor and one broadcast.
#if defined(__AVX512F__)
  static constexpr int kRows = 8, kColPanels = 3;
#elif defined(__AVX2__)
  static constexpr int kRows = 6, kColPanels = 1;
#elif defined(__aarch64__)
  static constexpr int kRows = 5, kColPanels = 1;
#else
  static constexpr int kRows = 3, kColPanels = 1;
#endif
  GT_INLINE Register multiply_add(Register a, Register b, Register sum) { return a * b + sum; }
};

size_t scratch_of(int threads, const Product& p) {
  return p.factors == DType::f32 ? scratch_bytes<RegisterKernel<FloatMath<Float32>>>(threads, p) : scratch_bytes<RegisterKernel<FloatMath<Widened>>>(threads, p);
}

void run_either(Threads& threads, void* scratch, const Product& p) {
  if (p.factors == DType::f32) run<RegisterKernel<FloatMath<Float32>>>(threads, scratch, p);
  else run<RegisterKernel<FloatMath<Widened>>>(threads, scratch, p);
}

}  // namespace

extern const Matmul GT_TABLE(matmul);
const Matmul GT_TABLE(matmul) = {scratch_of, run_either};

}  // namespace gt::cpu
