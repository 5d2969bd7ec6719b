// CPU backend of kv_cache: row copies.
#include "ops/kv_cache/cpu.h"

namespace gt::cpu {
namespace {

constexpr int64_t kTokens = 64;  // per task

void store(Threads& threads, void* key_cache, void* value_cache, const void* k, const void* qkv, const int32_t* rows, int64_t T, int64_t row_bytes, int64_t token_bytes) {
  threads.ranges(T, kTokens, [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      __builtin_memcpy(static_cast<char*>(key_cache) + rows[t] * row_bytes, static_cast<const char*>(k) + t * row_bytes, size_t(row_bytes));
      __builtin_memcpy(static_cast<char*>(value_cache) + rows[t] * row_bytes, static_cast<const char*>(qkv) + (t + 1) * token_bytes - row_bytes, size_t(row_bytes));
    }
  });
}

}  // namespace

extern const KvCache GT_TABLE(kv_cache);
const KvCache GT_TABLE(kv_cache) = {store};

}  // namespace gt::cpu
