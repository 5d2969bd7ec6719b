// The rate of multiply-adds on registers, by kernel family. GEMMATUNE_CPU and GEMMATUNE_AMX choose the family, as they do for the ops.
#include <algorithm>
#include <numeric>

#include "bench/limits.h"
#include "cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gt::bench {
namespace {

// Each loop does `rounds` times the work it returns, in flops per round.
struct PeakLoop {
  const char* family;
  double (*run)(int64_t rounds);
};

#if defined(__x86_64__)
// 24 independent sums: enough to cover latency 12 at one instruction per cycle.
#define GT_REPEAT_24(OP) OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7) OP(8) OP(9) OP(10) OP(11) OP(12) OP(13) OP(14) OP(15) OP(16) OP(17) OP(18) OP(19) OP(20) OP(21) OP(22) OP(23)
#define GT_REPEAT_12(OP) OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7) OP(8) OP(9) OP(10) OP(11)

// Registers start at zero: with subnormal numbers left in them the loop would measure microcode.
__attribute__((target("avx512f"))) void zero_registers_avx512() {
#define GT_STEP(n) asm volatile("vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n ::: "xmm" #n);
  GT_REPEAT_24(GT_STEP) GT_STEP(31)
#undef GT_STEP
}
void zero_registers() {
#define GT_STEP(n) asm volatile("xorps %%xmm" #n ", %%xmm" #n ::: "xmm" #n);
  GT_REPEAT_12(GT_STEP) GT_STEP(14) GT_STEP(15)
#undef GT_STEP
}

__attribute__((target("avx512f"))) double loop_avx512(int64_t rounds) {
  zero_registers_avx512();
  for (int64_t i = 0; i < rounds; i++) {
#define GT_STEP(n) asm volatile("vfmadd231ps %%zmm31, %%zmm31, %%zmm" #n ::: "xmm" #n);
    GT_REPEAT_24(GT_STEP)
#undef GT_STEP
  }
  return 24 * 16 * 2;
}
__attribute__((target("avx512f,avx512bf16"))) double loop_avx512bf16(int64_t rounds) {
  zero_registers_avx512();
  for (int64_t i = 0; i < rounds; i++) {
#define GT_STEP(n) asm volatile("vdpbf16ps %%zmm31, %%zmm31, %%zmm" #n ::: "xmm" #n);
    GT_REPEAT_24(GT_STEP)
#undef GT_STEP
  }
  return 24 * 32 * 2;
}
__attribute__((target("avx2,fma"))) double loop_avx2(int64_t rounds) {
  zero_registers();
  for (int64_t i = 0; i < rounds; i++) {
#define GT_STEP(n) asm volatile("vfmadd231ps %%ymm15, %%ymm15, %%ymm" #n ::: "xmm" #n);
    GT_REPEAT_12(GT_STEP)
#undef GT_STEP
  }
  return 12 * 8 * 2;
}
double loop_portable(int64_t rounds) {
  zero_registers();
  for (int64_t i = 0; i < rounds; i++) {
#define GT_STEP(n) asm volatile("movaps %%xmm15, %%xmm13\n\tmulps %%xmm14, %%xmm13\n\taddps %%xmm13, %%xmm" #n ::: "xmm" #n, "xmm13");
    GT_REPEAT_12(GT_STEP)
#undef GT_STEP
  }
  return 12 * 4 * 2;
}
__attribute__((target("amx-tile,amx-bf16"))) double loop_amx(int64_t rounds) {
  struct {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  for (int i = 0; i < 8; i++) config.row_bytes[i] = 64, config.rows[i] = 16;
  asm volatile("" ::"r"(&config) : "memory");  // the instruction below does not tell the compiler that it reads all of it
  _tile_loadconfig(&config);
  for (int64_t i = 0; i < rounds; i++) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 4 * 16 * 16 * 32 * 2;
}

PeakLoop loop_for(DType factors) {
  const cpu::Isa isa = cpu::isa();
  if (factors == DType::bf16 && cpu::has_amx_bf16()) return {"amx", loop_amx};
  if (factors == DType::bf16 && cpu::has_avx512_bf16()) return {"avx512bf16", loop_avx512bf16};
  return {name_of(isa), isa == cpu::Isa::avx512 ? loop_avx512 : isa == cpu::Isa::avx2 ? loop_avx2 : loop_portable};
}
#else
PeakLoop loop_for(DType) { return {"portable", nullptr}; }
#endif

}  // namespace

// Each thread's rate by its own processor time, all threads at once: other programs can make this limit seem lower only by what they
// do to caches and clocks, not by the time they take.
std::vector<Limit> measure_fma(Device& device, DType factors, double seconds) {
  const PeakLoop loop = loop_for(factors);
  if (!loop.run) return {};
  const int64_t rounds = 1 << 20;
  std::vector<double> rates(size_t(device.threads().count()));
  double best = 0;
  best_time(device, seconds, [&] {
    device.threads().run(int64_t(rates.size()), [&](int64_t task) {
      const double start = processor_seconds(), flops = loop.run(rounds) * double(rounds);
      rates[size_t(task)] = flops / (processor_seconds() - start);
    });
    best = std::max(best, std::accumulate(rates.begin(), rates.end(), 0.));
  });
  return {{text("fma ", name_of(factors)), loop.family, best}};
}

}  // namespace gt::bench
