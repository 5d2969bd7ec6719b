// Attention on a GPU: launchers. Kernels are in the three headers.
#include <algorithm>
#include <vector>

#include "ops/attention/cuda_backward.h"
#include "ops/attention/cuda_decode.h"
#include "ops/attention/cuda_forward.h"
#include "ops/attention/gpu.h"

namespace gt::GT_GPU {
namespace {

using gpu::AttentionShape;

int span_of(int64_t window, int64_t tokens) { return int(window == 0 || window > tokens ? tokens : window); }

Shape shape_of(const AttentionShape& s) { return {int(s.H), int(s.K), int(s.D), int(s.H / s.K), span_of(s.window, s.T), s.scale}; }

// kD, the columns that tiles have: with_columns(D, [&](auto columns) { constexpr int kD = decltype(columns)::value; ... }).
template <class Body>
void with_columns(int64_t D, const Body& body) {
  if (D <= 64) body(std::integral_constant<int, 64>{});
  else if (D <= 128) body(std::integral_constant<int, 128>{});
  else body(std::integral_constant<int, 256>{});
}

struct Blocks {
  const Owned* blocks;
  unsigned count;
};

// Blocks of `size` query rows (or keys) of every sequence and kv head, cut from the start of the sequence, never from that of the batch.
// Those with most to stream come first, so that the last to finish are short.
Blocks cut(Context& context, const AttentionShape& s, bool owns_keys, int size) {
  const Shape shape = shape_of(s);
  std::vector<std::pair<int, Owned>> blocks;  // (keys or rows to stream, block)
  for (int64_t i = 0; i < s.S; i++) {
    const int length = s.starts[i + 1] - s.starts[i], count = owns_keys ? length : length * shape.G;
    for (int head = 0; head < shape.K; head++)
      for (int first = 0; first < count; first += size) {
        const Owned block = {s.starts[i], length, head, first};
        const Range streamed = owns_keys ? rows_that_see(shape, block, size) : keys_seen_by(shape, block, size);
        blocks.emplace_back(streamed.end - streamed.begin, block);
      }
  }
  std::stable_sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Owned> sorted;
  for (const auto& block : blocks) sorted.push_back(block.second);
  return {static_cast<const Owned*>(context.stage(sorted.data(), sorted.size() * sizeof(Owned))), unsigned(sorted.size())};
}

constexpr size_t kAlignment = 256;
size_t aligned(size_t bytes) { return divide_up(bytes, kAlignment) * kAlignment; }

// amax [kOperands] of the tensors of a call, on sm75. dout may be null.
void find_amax(Context& context, uint32_t* amax, const AttentionShape& s, const bf16* q, const bf16* k, const bf16* qkv, const bf16* dout) {
  context.zero(amax, kOperands * sizeof *amax);
  launch_amax(context, amax + kQ, q, s.T, s.H * s.D, s.H * s.D);
  launch_amax(context, amax + kK, k, s.T, s.K * s.D, s.K * s.D);
  launch_amax(context, amax + kV, qkv + (s.H + s.K) * s.D, s.T, s.K * s.D, (s.H + 2 * s.K) * s.D);
  if (dout) launch_amax(context, amax + kDout, dout, s.T, s.H * s.D, s.H * s.D);
}

void forward(Context& context, const AttentionShape& s, bf16* out, float* lse, const bf16* q, const bf16* k, const bf16* qkv) {
  const Blocks blocks = cut(context, s, false, kForwardRows);
  uint32_t* amax = nullptr;
  if (context.level == Level::sm75) {
    amax = static_cast<uint32_t*>(context.scratch(kOperands * sizeof *amax));
    find_amax(context, amax, s, q, k, qkv, nullptr);
  }
  const ForwardTensors x = {blocks.blocks, out, lse, q, k, qkv, amax};
  with_level(context.level, [&](auto level) {
    with_columns(s.D, [&](auto columns) {
      constexpr int kD = decltype(columns)::value;
      launch(context, blocks.count, kForwardThreads, forward_shared(kD), attention_forward_kernel<decltype(level)::value, kD>, x, shape_of(s));
    });
  });
}

void backward(Context& context, const AttentionShape& s, bf16* dq, bf16* dk, bf16* dqkv, const bf16* dout, const bf16* out, const float* lse, const bf16* q, const bf16* k, const bf16* qkv) {
  const bool scaled = context.level == Level::sm75;
  const size_t per_row = aligned(size_t(s.T * s.H) * sizeof(float)), per_key = aligned(size_t(s.T * s.K) * sizeof(float));
  char* scratch = static_cast<char*>(context.scratch(scaled ? kAlignment + 2 * per_row + per_key : per_row));
  BackwardTensors x = {};
  x.dq = dq, x.dk = dk, x.dqkv = dqkv, x.q = q, x.k = k, x.qkv = qkv, x.dout = dout, x.out = out, x.lse = lse;
  x.delta = reinterpret_cast<float*>(scratch);
  if (scaled) {
    uint32_t* amax = reinterpret_cast<uint32_t*>(scratch + 2 * per_row + per_key);
    x.dout_sum = reinterpret_cast<float*>(scratch + per_row), x.value_peak = reinterpret_cast<float*>(scratch + 2 * per_row), x.amax = amax;
    find_amax(context, amax, s, q, k, qkv, dout);
    launch(context, unsigned(divide_up<int64_t>(s.T * s.K, kStatisticsThreads / 32)), kStatisticsThreads, 0, attention_value_peak_kernel, x.value_peak, qkv, s.T * s.K, shape_of(s));
  }
  launch(context, unsigned(divide_up<int64_t>(s.T * s.H, kStatisticsThreads / 32)), kStatisticsThreads, 0, attention_delta_kernel, x.delta, x.dout_sum, dout, out, s.T * s.H, int(s.D));
  with_level(context.level, [&](auto level) {
    with_columns(s.D, [&](auto columns) {
      constexpr Level kLevel = decltype(level)::value;
      constexpr int kD = decltype(columns)::value;
      const Blocks keys = cut(context, s, true, kTile);
      x.blocks = keys.blocks;
      launch(context, keys.count, kBackwardThreads, backward_shared<kLevel>(kD), attention_backward_kernel<kLevel, kD, true>, x, shape_of(s));
      const Blocks rows = cut(context, s, false, kTile);
      x.blocks = rows.blocks;
      launch(context, rows.count, kBackwardThreads, backward_shared<kLevel>(kD), attention_backward_kernel<kLevel, kD, false>, x, shape_of(s));
    });
  });
}

void decode(Context& context, bf16* out, const bf16* q, const bf16* key_cache, const bf16* value_cache, const int32_t* lengths, int64_t B, int64_t L, int64_t H, int64_t K, int64_t D, float scale, int64_t window) {
  Decode x = {};
  x.out = out, x.q = q, x.keys = key_cache, x.values = value_cache, x.L = L, x.scale = scale;
  x.H = int(H), x.K = int(K), x.D = int(D), x.G = int(H / K), x.span = span_of(window, L);
  x.head_blocks = divide_up(x.G, kHeads);
  x.chunks = divide_up(std::min(*std::max_element(lengths, lengths + B), x.span), kChunk);
  x.lengths = static_cast<const int32_t*>(context.stage(lengths, size_t(B) * sizeof *lengths));
  if (x.chunks > 1) {
    const size_t rows = size_t(B * H * x.chunks), sums = aligned(rows * size_t(D) * sizeof(float));
    char* scratch = static_cast<char*>(context.scratch(sums + rows * sizeof(float2)));
    x.sums = reinterpret_cast<float*>(scratch), x.weights = reinterpret_cast<float2*>(scratch + sums);
  }
  with_columns(D, [&](auto columns) {
    launch(context, dim3(unsigned(B * K * x.head_blocks), unsigned(x.chunks)), kDecodeThreads, 0, attention_decode_kernel<decltype(columns)::value / 8>, x);
  });
  if (x.chunks > 1) launch(context, unsigned(B * H), kDecodeThreads, 0, attention_combine_kernel, x);
}

}  // namespace

const gpu::Attention attention = {forward, backward, decode};

}  // namespace gt::GT_GPU
