#pragma once
#include "core/bf16.h"
#include "gpu/context.h"

namespace gt::gpu {

// As in attention.h; S sequences, `starts` [S + 1] on the host. D is a multiple of 8, at most kAttentionMaxD.
struct AttentionShape {
  int64_t T, H, K, D;
  float scale;
  int64_t window;
  const int32_t* starts;
  int64_t S;
};
constexpr int64_t kAttentionMaxD = 256;

struct Attention {
  void (*forward)(Context&, const AttentionShape&, bf16* out, float* lse, const bf16* q, const bf16* k, const bf16* qkv);
  void (*backward)(Context&, const AttentionShape&, bf16* dq, bf16* dk, bf16* dqkv, const bf16* dout, const bf16* out, const float* lse, const bf16* q, const bf16* k, const bf16* qkv);
  // lengths [B] on the host, caches [B, L, K, D]
  void (*decode)(Context&, bf16* out, const bf16* q, const bf16* key_cache, const bf16* value_cache, const int32_t* lengths, int64_t B, int64_t L, int64_t H, int64_t K, int64_t D, float scale, int64_t window);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(Attention, attention)
