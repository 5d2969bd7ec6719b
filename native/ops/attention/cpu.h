#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct AttentionShape {
  DType dtype;  // of every tensor but lse and delta
  int64_t H, K, D;
  float scale;
  int64_t window;
};

// One task: a block of the query rows (row = position · H/K + head of the group) or of the keys of one sequence and kv head.
struct AttentionBlock {
  int64_t start, length;  // the sequence: its first token, its tokens
  int64_t head;           // kv head
  int64_t first, count;   // rows or keys of the block, counted from the start of the sequence
};

// A task owns kAttentionOwned query rows (or keys), which lie across the lanes, and streams the other side past them in steps of
// kAttentionStreamed. Multiples of 16 lanes; 96 is six full AVX-512 registers, two tiles of three. At D = 256 a thread's scratch is
// then 590 KB, of which forward uses 370 KB: it stays in an L2 of 1 MB. Copying a streamed block into scratch moves 64 · D numbers
// for 64 · 96 · D multiplications or more, so it costs little. Wider blocks would waste more on the diagonal, where half of a
// block is masked. Fixed, since the order of sums depends on them.
constexpr int64_t kAttentionOwned = 96;
constexpr int64_t kAttentionStreamed = 64;

// Floats of scratch for one thread: two owned blocks transposed, two accumulators, two streamed blocks in up to two layouts each, two
// score matrices.
constexpr int64_t attention_row_stride(int64_t D) { return (D + 15) / 16 * 16 + 16; }  // the extra 16 keep rows off the same cache sets
constexpr int64_t attention_scratch(int64_t D) {
  return 2 * (kAttentionOwned * D + (kAttentionOwned + 2 * kAttentionStreamed) * attention_row_stride(D) + kAttentionOwned * kAttentionStreamed);
}

// The tensors of attention.h by the same names; those that an entry does not use are null.
struct AttentionTensors {
  void *q = nullptr, *k = nullptr, *qkv = nullptr, *out = nullptr, *dout = nullptr, *dq = nullptr, *dk = nullptr, *dqkv = nullptr;
  float *lse = nullptr, *delta = nullptr;  // [T, H]
  int64_t T = 0;
};

// `scratch`: 64-byte aligned, attention_scratch(D) floats for each of the `slots` tasks that run at a time.
struct AttentionTasks {
  const AttentionBlock* query_blocks;
  int64_t query_count;
  const AttentionBlock* key_blocks;  // backward only
  int64_t key_count;
  float* scratch;
  int64_t slots;
};

struct Attention {
  void (*forward)(Threads&, const AttentionShape&, const AttentionTensors&, const AttentionTasks&);
  void (*backward)(Threads&, const AttentionShape&, const AttentionTensors&, const AttentionTasks&);  // writes delta, then uses it
  void (*decode)(Threads&, const AttentionShape&, void* out, void* q, void* key_cache, void* value_cache, const int32_t* lengths, int64_t B, int64_t L, float* scratch, int64_t slots);
};
GT_DECLARE_TABLES(Attention, attention);

// bfloat16 tensors with an even D only; the caller has asked has_avx512_bf16().
extern const Attention attention_avx512bf16;

}  // namespace gt::cpu
