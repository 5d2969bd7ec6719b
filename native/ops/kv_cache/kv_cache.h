// Where generation keeps the keys and values of past tokens, one cache a layer: rows of K heads of D numbers.
//
//   key_cache[rows[t]] = k[t],   value_cache[rows[t]] = the last K heads of qkv[t]
//
// Other rows stay as they are. All tensors have one type, float32 or bfloat16; on a GPU a row is a multiple of 16 bytes.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// key_cache, value_cache [S, K, D]; k [T, K, D]; qkv [T, H + 2K, D]; rows int32 [T] on the host, distinct, each in [0, S)
void kv_cache_store(Device& device, const Tensor& key_cache, const Tensor& value_cache, const Tensor& k, const Tensor& qkv, const Tensor& rows);

}  // namespace gt
