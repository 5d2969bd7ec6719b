// CPU backend of global_norm: squares in double (exact, of either type), sixteen lanes, blocks in parallel.
#include "ops/global_norm/cpu.h"

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

// Plain loops over sixteen sums: the compiler vectorises them on every instruction set, a conversion of wide vectors it would not.
template <class T>
double block_squares(const T* x, int64_t n) {
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int lane = 0; lane < kLanes; lane++) sums[lane] += double(load(x + i + lane)) * double(load(x + i + lane));
  for (int lane = 0; i + lane < n; lane++) sums[lane] += double(load(x + i + lane)) * double(load(x + i + lane));
  double total = 0;
  for (int lane = 0; lane < kLanes; lane++) total += sums[lane];
  return total;
}

void squares(Threads& threads, double* partial, const void* x, DType type, int64_t N) {
  with_type(type, [&](auto* e) {
    threads.ranges(N, kGlobalNormBlock, [&](int64_t begin, int64_t end) { partial[begin / kGlobalNormBlock] = block_squares((decltype(e))x + begin, end - begin); });
  });
}

}  // namespace

extern const GlobalNorm GT_TABLE(global_norm);
const GlobalNorm GT_TABLE(global_norm) = {squares};

}  // namespace gt::cpu
