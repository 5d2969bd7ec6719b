#include "gpu/test_kernels.h"

#include "gpu/mma.h"

namespace gt::GT_GPU {
namespace {

using gpu::Bug;
using gpu::Product;

// Calls the body with the bug as a constant. A real device gets the right kernels only.
#if defined(__CUDACC__)
#define PLANTED(...)
#else
#define PLANTED(...) , __VA_ARGS__
#endif
template <Bug... kBugs, class Body>
void with_bug(Bug bug, const Body& body) {
  const bool known = ((bug == kBugs ? (body(std::integral_constant<Bug, kBugs>{}), true) : false) || ...);
  require(known, Code::kArgument, "this kernel has no bug ", int(bug));
}

constexpr int kThreads = 128, kWarps = kThreads / 32;

// ---- squares: a reduction over the block, for one row after another

template <Bug kBug>
__global__ void __launch_bounds__(kThreads) squares_kernel(float* sums, const bf16* x, int64_t R, int C) {
  SHARED(float, part, [kWarps]);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int64_t begin = int64_t(blockIdx.x) * 4, end = begin + 4 < R ? begin + 4 : R;
  for (int64_t row = begin; row < end; row++) {
    const bf16* from = x + row * C + (kBug == Bug::misaligned ? 1 : 0);
    float sum = 0;
    for (int c = int(threadIdx.x) * 8; c < (kBug == Bug::global_past_end ? C + 8 : C); c += kThreads * 8) {
      float v[8];
      load_8(v, from + c);
      for (float f : v) sum += f * f;
    }
    if (kBug == Bug::shuffle_in_branch) {
      if (lane < 16) sum = warp_sum(sum);
    } else if (kBug == Bug::short_width) {
      for (int other = 16; other; other >>= 1) sum += __shfl_down_sync(kFullWarp, sum, other, 16);
    } else {
      sum = warp_sum(sum);
    }
    if (lane == 0) part[warp] = sum;
    if (kBug == Bug::early_return && warp == 3) return;
    if (kBug == Bug::divergent_barrier) {
      if (warp == 0) __syncthreads();
      else __syncthreads();
    } else if (kBug != Bug::read_too_early) {
      __syncthreads();
    }
    float all = 0;
    for (int w = 0; w < (kBug == Bug::shared_past_end ? kWarps + 1 : kWarps); w++) all += part[w];
    if (threadIdx.x == 0) sums[row] = all;
    if (kBug != Bug::write_too_early) __syncthreads();
  }
  if (kBug == Bug::same_address && threadIdx.x == 0) sums[R] = 1;
}

void squares(Context& context, Bug bug, float* sums, const bf16* x, int64_t R, int C) {
  with_bug<Bug::none PLANTED(Bug::read_too_early, Bug::write_too_early, Bug::divergent_barrier, Bug::early_return, Bug::shuffle_in_branch, Bug::short_width, Bug::shared_past_end, Bug::global_past_end, Bug::misaligned, Bug::same_address)>(bug, [&](auto b) {
    launch(context, unsigned(divide_up<int64_t>(R, 4)), kThreads, 0, squares_kernel<decltype(b)::value>, sums, x, R, C);
  });
}

// ---- product: tiles of 64 x 64 x 32, four warps of 32 x 32

constexpr int kTile = 64, kDepth = 32;

template <Level kLevel, int kPad, Bug kBug>
__global__ void __launch_bounds__(kThreads) product_kernel(float* c, const bf16* a, const bf16* b, int M, int N, int K) {
  GT_KERNEL_OF(kLevel);
  SHARED(uint16_t, a_tile, [kTile][kDepth + kPad]);
  SHARED(uint16_t, b_tile, [kTile][kDepth + kPad]);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, row = (warp & 1) * 32, column = (warp >> 1) * 32;
  const int m0 = int(blockIdx.y) * kTile, n0 = int(blockIdx.x) * kTile;
  float sums[2][4][4] = {};
  for (int k0 = 0; k0 < K; k0 += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth / 8; i += kThreads) {
      const int r = i / (kDepth / 8), k = i % (kDepth / 8) * 8;
      uint4 va = make_uint4(0, 0, 0, 0), vb = va;
      if (kBug == Bug::no_guard || m0 + r < M) va = *reinterpret_cast<const uint4*>(a + int64_t(m0 + r) * K + k0 + k);
      if (n0 + r < N) vb = *reinterpret_cast<const uint4*>(b + int64_t(n0 + r) * K + k0 + k);
      if (kBug != Bug::row_not_written || r != 17) *reinterpret_cast<uint4*>(&a_tile[r][k]) = Format<kLevel>::from_bf16(va, 1.f);
      *reinterpret_cast<uint4*>(&b_tile[r][k]) = Format<kLevel>::from_bf16(vb, 1.f);
    }
    if (kBug == Bug::skipped_barrier) {
      if (k0 == 0 || warp < 2) __syncthreads();
    } else if (kBug != Bug::read_too_early) {
      __syncthreads();
    }
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      uint32_t x[2][4], y[2][4];  // y: two columns of eight at k and k + 8
#pragma unroll
      for (int i = 0; i < 2; i++) ldmatrix_x4(x[i], &a_tile[row + i * 16 + (lane & 15)][k + (lane >> 4) * 8]);
#pragma unroll
      for (int j = 0; j < 2; j++) ldmatrix_x4(y[j], &b_tile[column + j * 16 + (lane & 7) + (lane >> 4) * 8][k + (lane >> 3 & 1) * 8 + (kBug == Bug::ldmatrix_past_row ? 64 : 0)]);
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) Format<kLevel>::mma(sums[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
    }
    if (kBug != Bug::write_too_early) __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int m = m0 + row + i * 16 + lane / 4 + e / 2 * 8, n = n0 + column + j * 8 + lane % 4 * 2 + e % 2;
        if (m < M && n < N) c[int64_t(m) * N + n] = sums[i][j][e];
      }
}

void product(Context& context, Bug bug, bool padded, float* c, const bf16* a, const bf16* b, int M, int N, int K) {
  const dim3 grid(unsigned(divide_up(N, kTile)), unsigned(divide_up(M, kTile)));
  with_level(context.level, [&](auto level) {
    constexpr Level kLevel = decltype(level)::value;
    if (!padded) return launch(context, grid, kThreads, 0, product_kernel<kLevel, 0, Bug::none>, c, a, b, M, N, K);
    with_bug<Bug::none PLANTED(Bug::read_too_early, Bug::write_too_early, Bug::skipped_barrier, Bug::row_not_written, Bug::ldmatrix_past_row, Bug::no_guard)>(bug, [&](auto planted) {
      launch(context, grid, kThreads, 0, product_kernel<kLevel, 8, decltype(planted)::value>, c, a, b, M, N, K);
    });
  });
}

// ---- chain: two products, their right sides in one buffer of dynamic shared memory

constexpr int kQueries = 64, kKeys = 32, kWidth = 32, kStride = kWidth + 8;
constexpr size_t kChainBytes = size_t(kQueries + kKeys) * kStride * 2;

template <Level kLevel, Bug kBug>
__global__ void __launch_bounds__(kThreads) chain_kernel(float* o, const bf16* q, const bf16* k, const bf16* v, int T) {
  GT_KERNEL_OF(kLevel);
  uint16_t *q_tile = dynamic_shared<uint16_t>(), *tile = q_tile + kQueries * kStride;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, q0 = int(blockIdx.x) * kQueries;
  auto stage = [&](uint16_t* to, const bf16* from, int first, int rows, bool guarded) {
    for (int i = threadIdx.x; i < rows * kWidth / 8; i += kThreads) {
      const int r = i / (kWidth / 8), c = i % (kWidth / 8) * 8;
      uint4 x = make_uint4(0, 0, 0, 0);
      if (!guarded || first + r < T) x = *reinterpret_cast<const uint4*>(from + int64_t(first + r) * kWidth + c);
      *reinterpret_cast<uint4*>(to + r * kStride + c) = Format<kLevel>::from_bf16(x, 1.f);
    }
  };
  stage(q_tile, q, q0, kQueries, true);
  float sums[kWidth / 8][4] = {};
  for (int k0 = 0; k0 < T; k0 += kKeys) {
    if (kBug != Bug::write_too_early) __syncthreads();
    stage(tile, k, k0, kKeys, kBug != Bug::no_guard);
    if (kBug != Bug::read_too_early) __syncthreads();
    float scores[kKeys / 8][4] = {};
#pragma unroll
    for (int c = 0; c < kWidth; c += 16) {
      uint32_t x[4], y[4];
      ldmatrix_x4(x, q_tile + (warp * 16 + (lane & 15)) * kStride + c + (lane >> 4) * 8);
#pragma unroll
      for (int j = 0; j < kKeys / 8; j += 2) {
        ldmatrix_x4(y, tile + (j * 8 + (lane & 7) + (lane >> 4) * 8) * kStride + c + (lane >> 3 & 1) * 8 + (kBug == Bug::dynamic_past_end ? kKeys * kStride : 0));
        Format<kLevel>::mma(scores[j], x, y[0], y[1]);
        Format<kLevel>::mma(scores[j + 1], x, y[2], y[3]);
      }
    }
    if (kBug != Bug::write_too_early_2) __syncthreads();
    stage(tile, v, k0, kKeys, true);
    if (kBug != Bug::read_too_early_2) __syncthreads();
#pragma unroll
    for (int j = 0; j < kKeys / 8; j += 2) {
      uint32_t p[4], y[4];
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int key = k0 + (j + e / 2) * 8 + lane % 4 * 2;
        const float* s = scores[j + e / 2] + e % 2 * 2;
        p[e] = Format<kLevel>::pack(key < T ? s[0] : 0.f, key + 1 < T ? s[1] : 0.f);
      }
#pragma unroll
      for (int i = 0; i < kWidth / 8; i += 2) {
        ldmatrix_x4_trans(y, tile + (j * 8 + (lane & 15)) * kStride + (i + (lane >> 4)) * 8);
        Format<kLevel>::mma(sums[i], p, y[0], y[1]);
        Format<kLevel>::mma(sums[i + 1], p, y[2], y[3]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kWidth / 8; i++)
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const int t = q0 + warp * 16 + lane / 4 + e / 2 * 8;
      if (t < T) o[int64_t(t) * kWidth + i * 8 + lane % 4 * 2 + e % 2] = sums[i][e];
    }
}

void chain(Context& context, Bug bug, float* o, const bf16* q, const bf16* k, const bf16* v, int T) {
  with_level(context.level, [&](auto level) {
    constexpr Level kLevel = decltype(level)::value;
    with_bug<Bug::none PLANTED(Bug::read_too_early, Bug::write_too_early, Bug::read_too_early_2, Bug::write_too_early_2, Bug::no_guard, Bug::dynamic_past_end)>(bug, [&](auto planted) {
      launch(context, unsigned(divide_up(T, kQueries)), kThreads, kChainBytes, chain_kernel<kLevel, decltype(planted)::value>, o, q, k, v, T);
    });
  });
}

// ---- transpose: one warp a matrix

template <Bug kBug>
__global__ void __launch_bounds__(kThreads) transpose_kernel(float* to, const float* from, int n) {
  SHARED(float, tile, [kWarps][32][33]);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, i = int(blockIdx.x) * kWarps + warp;
  if (i >= n) return;
  for (int r = 0; r < 32; r++) tile[warp][r][lane] = from[i * 1024 + r * 32 + lane];
  if (kBug != Bug::no_syncwarp) __syncwarp();
  for (int r = 0; r < 32; r++) to[i * 1024 + r * 32 + lane] = tile[warp][lane][r];
}

void transpose(Context& context, Bug bug, float* to, const float* from, int n) {
  with_bug<Bug::none PLANTED(Bug::no_syncwarp)>(bug, [&](auto planted) {
    launch(context, unsigned(divide_up(n, kWarps)), kThreads, 0, transpose_kernel<decltype(planted)::value>, to, from, n);
  });
}

// ---- reverse: two buffers in turn, filled by cp.async

template <Bug kBug>
__global__ void __launch_bounds__(64) reverse_kernel(uint32_t* to, const uint32_t* from, int steps) {
  GT_KERNEL_OF(Level::sm80);
  SHARED(uint32_t, buffer, [2][64][4]);
  const int t = threadIdx.x;
  copy_async_16(buffer[0][t], from + t * 4);
  copy_async_commit();
  for (int s = 0; s < steps; s++) {
    if (s + 1 < steps) copy_async_16(buffer[(s + 1) & 1][t], from + ((s + 1) * 64 + t) * 4);
    copy_async_commit();
    if (kBug == Bug::short_wait) copy_async_wait<2>();
    else if (kBug != Bug::no_wait) copy_async_wait<1>();
    __syncthreads();
    for (int i = 0; i < 4; i++) to[(s * 64 + t) * 4 + i] = buffer[s & 1][63 - t][i];
    if (kBug != Bug::write_too_early) __syncthreads();
  }
}

void reverse(Context& context, Bug bug, uint32_t* to, const uint32_t* from, int steps) {
  with_bug<Bug::none PLANTED(Bug::no_wait, Bug::short_wait, Bug::write_too_early)>(bug, [&](auto planted) {
    launch(context, 1, 64, 0, reverse_kernel<decltype(planted)::value>, to, from, steps);
  });
}

// ---- single instructions
//
// CuTe states a fragment as strides: value v of lane t is element number Σ digit · stride of the matrix in column-major order, digits
// taken of t (4, 8) and of v (2, 2, ...). A second statement of the layouts in gpu/mma.h.

__device__ int a_element(int t, int v) { return t % 4 * 32 + t / 4 + v % 2 * 16 + v / 2 % 2 * 8 + v / 4 * 128; }  // of 16 x K
__device__ int b_element(int t, int v) { return t % 4 * 16 + t / 4 + v % 2 * 8 + v / 2 * 64; }                    // of 8 x K
__device__ int d_element(int t, int v) { return t % 4 * 32 + t / 4 + v % 2 * 16 + v / 2 * 8; }                    // of 16 x 8

template <Level kLevel, Product kProduct>
__global__ void __launch_bounds__(32) fragments_kernel(float* d, const float* a, const float* b) {
  GT_KERNEL_OF(kLevel);
  constexpr int K = kProduct == Product::m16n8k8_f16 ? 8 : 16;
  const int t = threadIdx.x;
  auto packed = [](float low, float high) { return kProduct == Product::m16n8k16_bf16 ? pack_bf16(low, high) : pack_f16(low, high); };
  auto a_at = [&](int v) { return a[a_element(t, v) % 16 * K + a_element(t, v) / 16]; };
  auto b_at = [&](int v) { return b[b_element(t, v) / 8 * 8 + b_element(t, v) % 8]; };
  float sums[4];
  for (int v = 0; v < 4; v++) sums[v] = d[d_element(t, v) % 16 * 8 + d_element(t, v) / 16];
  if constexpr (K == 8) {
    mma_m16n8k8_f16(sums, packed(a_at(0), a_at(1)), packed(a_at(2), a_at(3)), packed(b_at(0), b_at(1)));
  } else {
    const uint32_t x[4] = {packed(a_at(0), a_at(1)), packed(a_at(2), a_at(3)), packed(a_at(4), a_at(5)), packed(a_at(6), a_at(7))};
    const uint32_t y0 = packed(b_at(0), b_at(1)), y1 = packed(b_at(2), b_at(3));
    if constexpr (kProduct == Product::m16n8k16_bf16) mma_m16n8k16_bf16(sums, x, y0, y1);
    else mma_m16n8k16_f16(sums, x, y0, y1);
  }
  for (int v = 0; v < 4; v++) d[d_element(t, v) % 16 * 8 + d_element(t, v) / 16] = sums[v];
}

void fragments(Context& context, Product product, float* d, const float* a, const float* b) {
  if (product == Product::m16n8k8_f16) launch(context, 1, 32, 0, fragments_kernel<Level::sm75, Product::m16n8k8_f16>, d, a, b);
  else if (product == Product::m16n8k16_f16) launch(context, 1, 32, 0, fragments_kernel<Level::sm80, Product::m16n8k16_f16>, d, a, b);
  else launch(context, 1, 32, 0, fragments_kernel<Level::sm80, Product::m16n8k16_bf16>, d, a, b);
}

__global__ void __launch_bounds__(32) ldmatrix_kernel(uint32_t* registers, const uint16_t* from) {
  SHARED(uint16_t, tile, [32][8]);
  const int t = threadIdx.x;
  for (int c = 0; c < 8; c++) tile[t][c] = from[t * 8 + c];
  __syncwarp();
  uint32_t r[4], s[2];
  uint32_t* to = registers + t * 12;
  ldmatrix_x4(r, tile[t]);
  for (int i = 0; i < 4; i++) to[i] = r[i];
  ldmatrix_x4_trans(r, tile[t]);
  for (int i = 0; i < 4; i++) to[4 + i] = r[i];
  ldmatrix_x2(s, tile[t & 15]);
  to[8] = s[0], to[9] = s[1];
  ldmatrix_x2_trans(s, tile[t & 15]);
  to[10] = s[0], to[11] = s[1];
}

void ldmatrix_registers(Context& context, uint32_t* registers, const uint16_t* tile) { launch(context, 1, 32, 0, ldmatrix_kernel, registers, tile); }

__global__ void __launch_bounds__(1024) census_kernel(int* values, int* counters) {
  const int t = threadIdx.x, n = blockDim.x, lane = t & 31, first = t - lane;
  const unsigned mask = n - first >= 32 ? kFullWarp : (1u << (n - first)) - 1;
  int i = 0;
  auto put = [&](int v) { values[i++ * n + t] = v; };
  put(__shfl_sync(mask, t, lane ^ 1));
  put(__shfl_sync(mask, t, 3, 8));
  put(__shfl_up_sync(mask, t, 2));
  put(__shfl_up_sync(mask, t, 2, 8));
  put(__shfl_down_sync(mask, t, 3, 16));
  put(__shfl_xor_sync(mask, t, 5, 8));
  put(__shfl_xor_sync(mask, t, 9, 8));  // a later part of eight is out of reach, an earlier one is not
  put(int(__shfl_sync(mask, (unsigned long long)t << 32 | 7, 0) >> 32));
  put(int(__ballot_sync(mask, t % 3 == 0)));
  put(__any_sync(mask, lane == 4));
  put(__all_sync(mask, lane < 20));
  put(__syncthreads_count(t % 5 == 0));
  put(__syncthreads_or(t == 33));
  put(__syncthreads_and(t < 64));
  put(atomicAdd(counters, 2) % 2 == 0);  // the old value
  atomicMax(counters + 1, t * 7 % 50);
  atomicMin(counters + 2, -t);
  if (lane % 2) put(__popc(__ballot_sync(mask & 0xaaaaaaaau, 1)));
  else put(__popc(__ballot_sync(mask & 0x55555555u, 1)));
  __syncthreads();
  put(counters[0]);
}

void census(Context& context, int* values, int* counters, int threads) { launch(context, 1, unsigned(threads), 0, census_kernel, values, counters); }

// ---- rules

template <Bug kBug>
__global__ void __launch_bounds__(64) rule_kernel(int* memory) {
  const int lane = threadIdx.x & 31;
  if (kBug == Bug::mask_without_caller) memory[threadIdx.x] = __shfl_sync(0xffffu, lane, 0);
  if (kBug == Bug::mask_of_returned) {
    if (lane == 7) return;
    memory[threadIdx.x] = __shfl_sync(kFullWarp, lane, 0);
  }
  if (kBug == Bug::divergent_shuffle) {
    if (lane < 9) memory[threadIdx.x] = __shfl_xor_sync(kFullWarp, lane, 0);
    else memory[threadIdx.x] = __shfl_xor_sync(kFullWarp, lane, 0);
  }
  if (kBug == Bug::unset_static) {  // right if memory were zero at first
    SHARED(int, sums, [64]);
    sums[threadIdx.x] += lane;
    memory[threadIdx.x] = sums[threadIdx.x];
  }
  if (kBug == Bug::unset_dynamic) {
    dynamic_shared<int>()[threadIdx.x] += lane;
    memory[threadIdx.x] = dynamic_shared<int>()[threadIdx.x];
  }
  if (kBug == Bug::partial_mma) {
    float d[4] = {};
    if (threadIdx.x < 48) mma_m16n8k8_f16(d, 0, 0, 0);
  }
  if (kBug == Bug::newer_instruction) {
    float d[4] = {};
    const uint32_t a[4] = {};
    mma_m16n8k16_bf16(d, a, 0, 0);
  }
  if (kBug == Bug::spin) {
    if (threadIdx.x == 5) memory[1] = 1;
    if (threadIdx.x < 32)
      while (atomicAdd(memory, 0) != 12345) {}
    __syncthreads();
  }
  if (kBug == Bug::too_much_static) {
    SHARED(int, large, [48 * 256 + 1]);
    large[threadIdx.x] = memory[0];
  }
  if (kBug == Bug::too_much_shared) {
    SHARED(int, small, [64]);
    small[threadIdx.x] = memory[0];
  }
  if (kBug == Bug::none) memory[threadIdx.x] = lane;
}

void rule(Context& context, Bug bug, int* memory) {
  with_bug<Bug::none PLANTED(Bug::mask_without_caller, Bug::mask_of_returned, Bug::divergent_shuffle, Bug::unset_static, Bug::unset_dynamic, Bug::partial_mma, Bug::newer_instruction, Bug::spin, Bug::too_much_static, Bug::too_much_shared)>(bug, [&](auto planted) {
    const unsigned threads = bug == Bug::partial_mma ? 48 : 64;
    launch(context, 1, threads, bug == Bug::too_much_shared ? 64 * 1024 : bug == Bug::unset_dynamic ? 256 : 0, rule_kernel<decltype(planted)::value>, memory);
  });
}

}  // namespace

const gpu::TestKernels test_kernels = {squares, product, chain, transpose, reverse, fragments, ldmatrix_registers, census, rule};

}  // namespace gt::GT_GPU
