#include "gpu/kernel.h"
#include "ops/kv_cache/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kThreads = 64;

// One block a token. Sizes are counted in pieces of 16 bytes.
__global__ void __launch_bounds__(kThreads) store_kernel(uint4* key_cache, uint4* value_cache, const uint4* k, const uint4* qkv, const int32_t* rows, int64_t row, int64_t token) {
  const int64_t t = blockIdx.x, to = rows[t] * row;
  const uint4* v = qkv + (t + 1) * token - row;
#pragma unroll 1  // a row is seldom longer than the block
  for (int64_t i = threadIdx.x; i < row; i += kThreads) {
    key_cache[to + i] = k[t * row + i];
    value_cache[to + i] = v[i];
  }
}

void store(Context& context, void* key_cache, void* value_cache, const void* k, const void* qkv, const int32_t* rows, int64_t T, int64_t row_bytes, int64_t token_bytes) {
  const void* staged = context.stage(rows, size_t(T) * sizeof *rows);
  launch(context, unsigned(T), kThreads, 0, store_kernel, static_cast<uint4*>(key_cache), static_cast<uint4*>(value_cache), static_cast<const uint4*>(k), static_cast<const uint4*>(qkv), static_cast<const int32_t*>(staged), row_bytes / 16, token_bytes / 16);
}

}  // namespace

const gpu::KvCache kv_cache = {store};

}  // namespace gt::GT_GPU
