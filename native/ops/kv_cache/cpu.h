#pragma once
#include "core/parallel.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct KvCache {
  // row_bytes: of a token's keys, and of its values, which end its token_bytes of qkv
  void (*store)(Threads&, void* key_cache, void* value_cache, const void* k, const void* qkv, const int32_t* rows, int64_t T, int64_t row_bytes, int64_t token_bytes);
};
GT_DECLARE_TABLES(KvCache, kv_cache);

}  // namespace gt::cpu
