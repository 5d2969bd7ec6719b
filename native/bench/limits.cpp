#include "bench/limits.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "bench/cases.h"
#include "bench/limits_gpu.h"

namespace gt::bench {

static double seconds_of(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}
double processor_seconds() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }
double now(Device& device) { return device.on_host() && device.threads().count() == 1 ? processor_seconds() : seconds_of(CLOCK_MONOTONIC); }

double best_time(Device& device, double total, const std::function<void()>& body) {
  double best = 1e30, spent = 0;
  for (int i = -1; i < 3 || spent < total; i++) {  // the first is a warm-up
    const double start = now(device);
    body();
    device.synchronize();
    const double t = now(device) - start;
    if (i >= 0) best = std::min(best, t), spent += t;
    if (device.kind == DeviceKind::emulated && i >= 0) break;
  }
  return best;
}

// 256 MB, much more than any cache holds, and written before: untouched memory is one page of zeros that everybody reads from the cache.
static int64_t copied_bytes(Device& device) { return device.kind == DeviceKind::emulated ? 1 << 16 : 1 << 28; }

static Limit copy_on_gpu(Device& device, double seconds) {
  const int64_t bytes = copied_bytes(device);
  Data from(device, DType::f32, {bytes / 4});
  Buffer to(device, bytes);
  const double t = best_time(device, seconds, [&] { device.copy_within(to.data(), from.memory.data(), size_t(bytes)); });
  return {"copy", "copy on the device", 2 * double(bytes) / t};
}

// Some processors rewrite memory in place at twice the speed of a copy: the faster way is the limit. A piece for each thread; memcpy
// writes pieces this long past the cache, so what is read and what is written is all that moves.
static Limit copy_on_cpu(Device& device, double seconds) {
  const int64_t bytes = copied_bytes(device), threads = device.threads().count(), grain = ((bytes + threads - 1) / threads + 63) / 64 * 64;
  Data from(device, DType::f32, {bytes / 4}), to(device, DType::f32, {bytes / 4});
  const double copy = best_time(device, seconds / 2, [&] {
    device.threads().ranges(bytes, grain, [&](int64_t b, int64_t e) { std::memcpy(to.memory.data() + b, from.memory.data() + b, size_t(e - b)); });
  });
  const double rewrite = best_time(device, seconds / 2, [&] {
    device.threads().ranges(bytes, grain, [&](int64_t b, int64_t e) {
      uint64_t *begin = reinterpret_cast<uint64_t*>(to.memory.data() + b), *end = reinterpret_cast<uint64_t*>(to.memory.data() + e);
      for (uint64_t* p = begin; p < end; p++) *p += 1;
    });
  });
  return {"copy", copy < rewrite ? "memcpy" : "rewritten in place", 2 * double(bytes) / std::min(copy, rewrite)};
}

Limit measure_copy(Device& device, double seconds) { return device.on_host() ? copy_on_cpu(device, seconds) : copy_on_gpu(device, seconds); }

Limit measure_tensor_cores(Device& device, double seconds) {
  const int rounds = device.kind == DeviceKind::emulated ? 1 : 1 << 12, blocks = 2 * device.gpu().description.multiprocessors;
  Buffer sums(device, int64_t(blocks) * gpu::kMmaThreads * 4);
  const double t = best_time(device, seconds, [&] { GT_PICK_GPU(device, limit_kernels).mma(device.gpu(), reinterpret_cast<float*>(sums.data()), blocks, rounds); });
  const bool sm75 = device.gpu().level == gpu::Level::sm75;
  return {limit_of_products(device, DType::bf16), sm75 ? "mma m16n8k8 fp16" : "mma m16n8k16 bf16", gpu::kMmaFlops * double(rounds) * blocks / t};
}

std::string limit_of_products(Device& device, DType dtype) {
  if (device.on_host()) return text("fma ", name_of(dtype));
  return device.gpu().level == gpu::Level::sm75 ? "tensor float16" : "tensor bfloat16";
}

std::vector<Limit> measure_limits(Device& device, DType dtype, double seconds) {
  std::vector<Limit> limits = {measure_copy(device, seconds)};
  if (!device.on_host()) return limits.push_back(measure_tensor_cores(device, seconds)), limits;
  for (const DType factors : {DType::bf16, DType::f32})
    if (factors == dtype || factors == DType::f32)
      for (const Limit& l : measure_fma(device, factors, seconds)) limits.push_back(l);
  return limits;
}

}  // namespace gt::bench
