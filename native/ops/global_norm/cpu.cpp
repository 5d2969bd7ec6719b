// CPU backend of global_norm: squares in double (exact products of float32), sixteen lanes, blocks in parallel.
#include "ops/global_norm/cpu.h"

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

typedef double f64x16 __attribute__((vector_size(128)));

double block_squares(const float* x, int64_t n) {
  f64x16 sums{};
  lanes(n, [&](int64_t i, int64_t part) {
    f64x16 v = __builtin_convertvector(get(x + i, part), f64x16);
    sums += v * v;
  });
  double total = 0;
  for (int lane = 0; lane < kLanes; lane++) total += sums[lane];
  return total;
}

void squares(Threads& threads, double* partial, const float* x, int64_t N) {
  threads.ranges(N, kGlobalNormBlock, [&](int64_t begin, int64_t end) { partial[begin / kGlobalNormBlock] = block_squares(x + begin, end - begin); });
}

}  // namespace

extern const GlobalNorm GT_TABLE(global_norm);
const GlobalNorm GT_TABLE(global_norm) = {squares};

}  // namespace gt::cpu
