// CUDA kernels on a CPU, for tests on machines without a GPU: each CUDA thread is a fiber, blocks run one after another. The same
// kernel source as nvcc compiles; everything CUDA would give it lies in namespace gt::emulated, so that a binary can hold both.
//
// It is unkind on purpose: schedules are drawn from a seed, shared and device memory start as NaN, asynchronous work runs as early or
// as late as it may, barriers are strict, kernels get no pointer into the host's memory. What it cannot see: typos in inline PTX, weak
// memory order, speed, a loop without end that never calls it.
//
// Three builds see different things: the plain one rule breaks and wrong values, ASan and UBSan memory accesses out of bounds, TSan races.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "gpu/context.h"

#if defined(__SANITIZE_THREAD__)
#define GT_EMULATOR_CODE __attribute__((no_sanitize("thread")))  // only the modelled memory accesses are instrumented
#else
#define GT_EMULATOR_CODE
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::gt::emulated::this_thread->index)
#define blockIdx (::gt::emulated::this_thread->block->index)
#define blockDim (::gt::emulated::this_thread->block->threads)
#define gridDim (::gt::emulated::this_thread->block->blocks)
// Where a kernel calls a barrier or warp operation: default arguments take the caller's place.
#define GT_EMULATOR_SITE ::gt::emulated::Site site = {__builtin_FILE(), __builtin_LINE()}

namespace gt::emulated {

// ---- types

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- the engine (emulator_engine.h, emulator.cpp)

struct Site { const char* file; int line; };
struct Block { uint3 index; dim3 threads, blocks; };
struct Thread { uint3 index; const Block* block; };
extern __thread Thread* this_thread;  // not thread_local: that may have a constructor, and is reached through a call

struct Options {
  uint64_t seed = 1;
  enum Schedule { forward, reverse, random, skew, mix } schedule = mix;  // mix: blocks take the others by turns, from a drawn one on
  int mma_group = 0;  // 0: exact sum, rounded to nearest. n: groups of n products, aligned to the largest term and cut to 24 + 1 bits
  enum Landing { at_issue, at_wait, either } landing = either;     // of cp.async
  enum Streams { eager, lazy, drawn } streams = drawn;             // work runs when it is queued, or when somebody waits for it
  size_t memory = size_t(4) << 30;                                 // bytes of each device
  uint64_t steps = 200'000'000;                                    // barriers, warp operations and atomics of a block, beyond which it is taken to spin
};
// Read from GEMMATUNE_EMULATOR at first use, for example "seed=7,schedule=skew,mma=4,landing=at_wait,streams=lazy,memory=1000000,steps=100000".
// Tests set them.
Options& options();
Options parse_options(const std::string& text);  // throws Error(kArgument) for what it does not know

struct Counters { uint64_t blocks = 0, threads = 0, switches = 0, ldmatrix = 0, ldmatrix_waves = 0; };
Counters& counters();  // of this thread; conflict-free ldmatrix has one wave for each 8x8 matrix

struct Launch {
  dim3 blocks, threads;
  size_t dynamic_shared_bytes;
  gpu::Level level;
  std::function<void()> body;  // of one thread: the kernel with its arguments
};
// Throws Error(kDevice) if a GPU would refuse it.
void check_launch(const Launch& launch);
// Runs a grid to its end. Throws Error(kDevice) naming block, thread and line if the kernel breaks a rule.
void run_grid(const Launch& launch);
// Queues it on the context's stream.
void enqueue(gpu::Context& context, Launch launch);
// Throws Error(kDevice) if a kernel's parameter is, or as a struct holds, an address of another device or of the host.
void check_parameter(gpu::Context& context, const void* parameter, size_t bytes, bool is_pointer);

void* static_shared_memory(Site site, const void* type, size_t bytes);
template <class T>
T& static_shared(const char* file, int line) {
  static const char type = 0;
  return *static_cast<T*>(static_shared_memory({file, line}, &type, sizeof(T)));
}
void* dynamic_shared_memory();
template <class T>
T* dynamic_shared() { return static_cast<T*>(dynamic_shared_memory()); }

template <class... P, class... A>
void launch(gpu::Context& context, dim3 grid, dim3 block, size_t dynamic_shared_bytes, void (*kernel)(P...), A&&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const std::tuple<P...> parameters(static_cast<P>(args)...);
  std::apply([&](const P&... p) { (check_parameter(context, &p, sizeof p, std::is_pointer<P>::value), ...); }, parameters);
  enqueue(context, {grid, block, dynamic_shared_bytes, context.level, [kernel, parameters] { std::apply(kernel, parameters); }});
  context.launches++;
}

// ---- barriers and warp operations

int block_barrier(int operation, int value, Site site);  // 0 count, 1 or, 2 and
inline void __syncthreads(GT_EMULATOR_SITE) { block_barrier(0, 0, site); }
inline int __syncthreads_count(int v, GT_EMULATOR_SITE) { return block_barrier(0, v, site); }
inline int __syncthreads_or(int v, GT_EMULATOR_SITE) { return block_barrier(1, v, site); }
inline int __syncthreads_and(int v, GT_EMULATOR_SITE) { return block_barrier(2, v, site); }
void warp_barrier(unsigned mask, Site site);
inline void __syncwarp(unsigned mask = ~0u, GT_EMULATOR_SITE) { warp_barrier(mask, site); }

enum class Shuffle { index, up, down, exclusive_or };
uint64_t shuffle(unsigned mask, uint64_t value, int argument, int width, Shuffle kind, const char* name, Site site);
template <class T>
T shuffle_any(unsigned mask, T v, int argument, int width, Shuffle kind, const char* name, Site site) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "a shuffle moves up to 8 bytes");
  uint64_t in = 0;
  memcpy(&in, &v, sizeof v);
  const uint64_t out = shuffle(mask, in, argument, width, kind, name, site);
  memcpy(&v, &out, sizeof v);
  return v;
}
template <class T> T __shfl_sync(unsigned mask, T v, int lane, int width = 32, GT_EMULATOR_SITE) { return shuffle_any(mask, v, lane, width, Shuffle::index, "__shfl_sync", site); }
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned d, int width = 32, GT_EMULATOR_SITE) { return shuffle_any(mask, v, int(d), width, Shuffle::up, "__shfl_up_sync", site); }
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned d, int width = 32, GT_EMULATOR_SITE) { return shuffle_any(mask, v, int(d), width, Shuffle::down, "__shfl_down_sync", site); }
template <class T> T __shfl_xor_sync(unsigned mask, T v, int x, int width = 32, GT_EMULATOR_SITE) { return shuffle_any(mask, v, x, width, Shuffle::exclusive_or, "__shfl_xor_sync", site); }
unsigned vote(unsigned mask, int predicate, const char* name, Site site);
inline unsigned __ballot_sync(unsigned mask, int p, GT_EMULATOR_SITE) { return vote(mask, p, "__ballot_sync", site); }
inline int __any_sync(unsigned mask, int p, GT_EMULATOR_SITE) { return vote(mask, p, "__any_sync", site) != 0; }
inline int __all_sync(unsigned mask, int p, GT_EMULATOR_SITE) { return vote(mask, !p, "__all_sync", site) == 0; }

// ---- atomics (relaxed, as CUDA's)

void before_atomic(Site site);  // other threads may run first
#define GT_EMULATOR_ATOMIC(T, name, operation) \
  inline T name(T* p, T v, GT_EMULATOR_SITE) { return before_atomic(site), operation; }
template <class T>
T atomic_extreme(T* p, T v, bool largest) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while ((largest ? old < v : v < old) && !__atomic_compare_exchange_n(p, &old, v, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return old;
}
GT_EMULATOR_ATOMIC(int, atomicAdd, __atomic_fetch_add(p, v, __ATOMIC_RELAXED))
GT_EMULATOR_ATOMIC(unsigned, atomicAdd, __atomic_fetch_add(p, v, __ATOMIC_RELAXED))
GT_EMULATOR_ATOMIC(unsigned long long, atomicAdd, __atomic_fetch_add(p, v, __ATOMIC_RELAXED))
GT_EMULATOR_ATOMIC(int, atomicMax, atomic_extreme(p, v, true))
GT_EMULATOR_ATOMIC(unsigned, atomicMax, atomic_extreme(p, v, true))
GT_EMULATOR_ATOMIC(unsigned long long, atomicMax, atomic_extreme(p, v, true))
GT_EMULATOR_ATOMIC(int, atomicMin, atomic_extreme(p, v, false))
GT_EMULATOR_ATOMIC(unsigned, atomicMin, atomic_extreme(p, v, false))
GT_EMULATOR_ATOMIC(unsigned long long, atomicMin, atomic_extreme(p, v, false))
#undef GT_EMULATOR_ATOMIC
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- functions

inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
template <class T> T __ldg(const T* p) { return *p; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
template <class T> constexpr T min(T a, T b) { return b < a ? b : a; }
template <class T> constexpr T max(T a, T b) { return a < b ? b : a; }
using ::fabsf;
using ::fmaxf;
using ::fminf;
using ::sqrtf;
uint16_t f16_from_float(float f);
float float_from_f16(uint16_t h);

// ---- instructions (see gpu/mma.h)

void mma_m16n8k8_f16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, GT_EMULATOR_SITE);
void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, GT_EMULATOR_SITE);
void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, GT_EMULATOR_SITE);
void ldmatrix(uint32_t* r, const void* row, int matrices, bool transposed, Site site);
inline void ldmatrix_x2(uint32_t (&r)[2], const void* row, GT_EMULATOR_SITE) { ldmatrix(r, row, 2, false, site); }
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, GT_EMULATOR_SITE) { ldmatrix(r, row, 4, false, site); }
inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, GT_EMULATOR_SITE) { ldmatrix(r, row, 2, true, site); }
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, GT_EMULATOR_SITE) { ldmatrix(r, row, 4, true, site); }
void copy_async_16(void* to, const void* from, bool valid = true, GT_EMULATOR_SITE);
void copy_async_commit();
void copy_async_wait_for(int pending);
template <int kPending> void copy_async_wait() { copy_async_wait_for(kPending); }

}  // namespace gt::emulated

#include "gpu/emulated_runtime.h"
