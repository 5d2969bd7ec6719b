#pragma once
#include <cstdint>

#include "gpu/context.h"

namespace gt::gpu {

struct KvCache {
  // row_bytes: of a token's keys, and of its values, which end its token_bytes of qkv; both multiples of 16. rows [T] on the host
  void (*store)(Context&, void* key_cache, void* value_cache, const void* k, const void* qkv, const int32_t* rows, int64_t T, int64_t row_bytes, int64_t token_bytes);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(KvCache, kv_cache)
