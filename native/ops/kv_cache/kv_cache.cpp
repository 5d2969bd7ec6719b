// The door of kv_cache: checks shapes, dtypes and rows, then picks the backend, which moves bytes.
#include "ops/kv_cache/kv_cache.h"

#include "core/profile.h"
#include "ops/kv_cache/cpu.h"
#include "ops/kv_cache/gpu.h"

namespace gt {

void kv_cache_store(Device& device, const Tensor& key_cache, const Tensor& value_cache, const Tensor& k, const Tensor& qkv, const Tensor& rows) {
  const char* op = "kv_cache_store";
  const Span span(device, op);
  require(key_cache.rank == 3 && k.rank == 3 && qkv.rank == 3, Code::kShape, op, ": got key_cache ", key_cache.describe(), ", k ", k.describe(), " and qkv ", qkv.describe(), ", expected [S, K, D], [T, K, D] and [T, H + 2K, D]");
  const int64_t S = key_cache.shape[0], T = k.shape[0], K = k.shape[1], D = k.shape[2], heads = qkv.shape[1];
  require_shape(op, "key_cache", key_cache, {S, K, D});
  require_shape(op, "value_cache", value_cache, {S, K, D});
  require_shape(op, "qkv", qkv, {T, heads, D});
  require(heads > 2 * K, Code::kShape, op, ": qkv is ", qkv.describe(), ", expected more than ", 2 * K, " heads (queries, then ", K, " of keys and ", K, " of values)");
  require_shape(op, "rows", rows, {T});
  require_dtype(op, "key_cache", key_cache, {DType::f32, DType::bf16});
  require_dtype(op, "value_cache", value_cache, {key_cache.dtype});
  require_dtype(op, "k", k, {key_cache.dtype});
  require_dtype(op, "qkv", qkv, {key_cache.dtype});
  const int32_t* r = rows.as<int32_t>();
  for (int64_t t = 0; t < T; t++) require(r[t] >= 0 && r[t] < S, Code::kArgument, op, ": rows[", t, "] is ", r[t], ", expected 0 to ", S - 1);

  const int64_t row_bytes = K * D * size_of(k.dtype), token_bytes = heads * D * size_of(k.dtype);
  switch (device.kind) {
    case DeviceKind::cpu: return GT_PICK(cpu::kv_cache).store(device.threads(), key_cache.data, value_cache.data, k.data, qkv.data, r, T, row_bytes, token_bytes);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      require(row_bytes % 16 == 0 && token_bytes % 16 == 0, Code::kShape, op, ": a row of k ", k.describe(), " has ", row_bytes, " bytes, one of qkv ", token_bytes, ", the ", name_of(device.kind), " backend takes multiples of 16");
      return GT_PICK_GPU(device, kv_cache).store(device.gpu(), key_cache.data, value_cache.data, k.data, qkv.data, r, T, row_bytes, token_bytes);
  }
}

}  // namespace gt
