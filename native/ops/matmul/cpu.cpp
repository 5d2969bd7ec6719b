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

using Kernel = RegisterKernel<FloatMath<Float32>>;
using Widening = RegisterKernel<FloatMath<Widened>>;  // of the same family: widened, a bfloat16 is a unit too

void run_either(Threads& threads, void* scratch, const Product& p) {
  if (p.factors == DType::f32) run<Kernel>(threads, scratch, p);
  else run<Widening>(threads, scratch, p);
}

}  // namespace

extern const Matmul GT_TABLE(matmul);
const Matmul GT_TABLE(matmul) = {Kernel::kFamily, run_either};

}  // namespace gt::cpu
