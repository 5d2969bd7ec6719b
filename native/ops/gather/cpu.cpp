// CPU backend of gather: row copies.
#include "ops/gather/cpu.h"

namespace gt::cpu {
namespace {

constexpr int64_t kRows = 64;  // rows per task

void gather(Threads& threads, float* y, const float* x, const int32_t* rows, int64_t R, int64_t C) {
  threads.ranges(R, kRows, [=](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; i++) __builtin_memcpy(y + i * C, x + rows[i] * C, size_t(C) * 4);
  });
}

void scatter(Threads& threads, float* dx, const float* dy, const int32_t* rows, int64_t T, int64_t R, int64_t C) {
  threads.ranges(T, kRows, [=](int64_t b, int64_t e) { __builtin_memset(dx + b * C, 0, size_t((e - b) * C) * 4); });
  threads.ranges(R, kRows, [=](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; i++) __builtin_memcpy(dx + rows[i] * C, dy + i * C, size_t(C) * 4);
  });
}

}  // namespace

extern const Gather GT_TABLE(gather);
const Gather GT_TABLE(gather) = {gather, scatter};

}  // namespace gt::cpu
