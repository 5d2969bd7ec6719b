// matmul_bench [filter] [threads, 0 = all] [tokens ...]: speed of the three products at the model's shapes, one JSON line each, beside the machine's peak
// for the kernel family in use (a loop of multiply-adds on registers, measured first). GEMMATUNE_CPU and GEMMATUNE_AMX choose the family.
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "cpu/isa.h"
#include "ops/matmul/matmul.h"
#include "testing/check.h"

using namespace gt;

namespace {

// One thread is measured by its own processor time, which other programs on the machine disturb least; several by the clock.
clockid_t clock_in_use = CLOCK_MONOTONIC;

double now() {
  timespec t;
  clock_gettime(clock_in_use, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

double seconds(const std::function<void()>& body) {
  const double start = now();
  body();
  return now() - start;
}

// Least time of one call, over `total` seconds: what the machine can do when nobody else uses it.
double best_time(double total, const std::function<void()>& body) {
  double best = 1e30, spent = seconds(body);
  for (int i = 0; i < 3 || spent < total; i++) {
    double t = seconds(body);
    best = std::min(best, t), spent += t;
  }
  return best;
}

// Each loop does `rounds` times the work it returns, in flops per round.
using PeakLoop = double (*)(int64_t rounds);

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

PeakLoop loop_for(DType factors, const char** name) {
  const cpu::Isa isa = cpu::isa();
  if (factors == DType::bf16 && cpu::has_amx_bf16()) return *name = "amx", loop_amx;
  if (factors == DType::bf16 && cpu::has_avx512_bf16()) return *name = "avx512bf16", loop_avx512bf16;
  *name = name_of(isa);
  return isa == cpu::Isa::avx512 ? loop_avx512 : isa == cpu::Isa::avx2 ? loop_avx2 : loop_portable;
}
#else
PeakLoop loop_for(DType, const char** name) { return *name = "portable", nullptr; }
#endif

double measure_peak(Device& device, DType factors, const char** name) {
  PeakLoop loop = loop_for(factors, name);
  if (!loop) return 0;
  const int64_t rounds = 1 << 18;
  double flops = 0;
  double t = best_time(1, [&] { device.threads().run(device.threads().count(), [&](int64_t task) { double f = loop(rounds); if (task == 0) flops = f; }); });
  return flops * double(rounds) * device.threads().count() / t;
}

struct Buffer {
  Device& device;
  Tensor tensor;
  Buffer(Device& device, DType t, std::initializer_list<int64_t> shape) : device(device), tensor(nullptr, t, shape) {
    tensor.data = device.allocate(size_t(tensor.bytes()));
    testing::Random random(1);
    for (int64_t i = 0; i < tensor.count(); i++) {
      float v = float(int64_t(random.bits() >> 40) - (1 << 23)) * 0x1p-23f;
      if (t == DType::f32) tensor.as<float>()[i] = v;
      else tensor.as<bf16>()[i] = to_bf16(v);
    }
  }
  ~Buffer() { device.release(tensor.data, size_t(tensor.bytes())); }
};

void measure(Device& device, DType t, const char* family, double peak, const std::string& filter, int64_t M, int64_t N, int64_t K) {
  const auto report = [&](const char* product, double bytes, const std::function<void()>& body) {
    const std::string name = text(product, " ", name_of(t), " ", M, "x", N, "x", K);
    if (name.find(filter) == std::string::npos) return;
    double s = best_time(0.3, body), flops = 2. * double(M) * double(N) * double(K) / s;
    std::printf("{\"family\":\"%s\",\"threads\":%d,\"product\":\"%s\",\"M\":%lld,\"N\":%lld,\"K\":%lld,\"ms\":%.3f,\"gflops\":%.0f,\"share_of_peak\":%.2f,\"gbytes_per_s\":%.1f}\n", family,
                device.threads().count(), product, (long long)M, (long long)N, (long long)K, s * 1e3, flops * 1e-9, peak ? flops / peak : 0, bytes / s * 1e-9);
    std::fflush(stdout);
  };
  const double e = double(size_of(t)), m = double(M), n = double(N), k = double(K);
  Buffer x(device, t, {M, K}), weight(device, t, {N, K}), y(device, t, {M, N}), dx(device, t, {M, K});
  report("forward", e * (m * k + n * k + m * n), [&] { matmul_forward(device, y.tensor, x.tensor, weight.tensor); });
  report("backward_input", e * (m * k + n * k + m * n), [&] { matmul_backward_input(device, dx.tensor, y.tensor, weight.tensor); });
  Buffer dweight(device, DType::f32, {N, K});
  report("backward_weight", e * (m * k + m * n) + 8 * n * k, [&] { matmul_backward_weight(device, dweight.tensor, y.tensor, x.tensor); });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string filter = argc > 1 ? argv[1] : "";
  std::vector<int64_t> tokens;
  for (int i = 3; i < argc; i++) tokens.push_back(std::atoll(argv[i]));
  if (tokens.empty()) tokens = {1, 16, 512, 2048};
  Device device(DeviceKind::cpu, 0, argc > 2 ? std::atoi(argv[2]) : 0);
  if (device.threads().count() == 1) clock_in_use = CLOCK_THREAD_CPUTIME_ID;
  for (DType t : {DType::bf16, DType::f32}) {
    const char* family = "";
    double peak = measure_peak(device, t, &family);
    std::printf("{\"family\":\"%s\",\"factors\":\"%s\",\"threads\":%d,\"peak_gflops\":%.0f}\n", family, name_of(t), device.threads().count(), peak * 1e-9);
    for (int64_t M : tokens)
      for (auto [N, K] : {std::pair<int64_t, int64_t>{1536, 640}, {640, 1024}, {4096, 640}, {640, 2048}, {262144, 640}})
        if (N < 262144 || M <= 1024) measure(device, t, family, peak, filter, M, N, K);
  }
}
