// GPU backend of matmul: launches of gemm.h and few_rows.h.
#include <algorithm>

#include "ops/matmul/few_rows.h"
#include "ops/matmul/gemm.h"
#include "ops/matmul/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr size_t kSlots = 256;  // bytes of scratch for two amax slots

// The slots, filled for matrices a and b on sm75, and `bytes` of scratch behind them.
struct Scratch {
  uint32_t* amax;
  void* rest;
};
template <Level kLevel>
Scratch scratch(Context& context, const bf16* a, int64_t a_rows, int64_t a_columns, const bf16* b, int64_t b_rows, int64_t b_columns, size_t bytes) {
  char* memory = static_cast<char*>(context.scratch(kSlots + bytes));
  uint32_t* amax = reinterpret_cast<uint32_t*>(memory);
  if constexpr (Format<kLevel>::kScaled) {
    context.zero(amax, kSlots);
    launch_amax(context, amax, a, a_rows, a_columns, a_columns);
    launch_amax(context, amax + 1, b, b_rows, b_columns, b_columns);
  }
  return {amax, memory + kSlots};
}

template <class Body>
void with_result(void* out, DType type, const Body& body) {
  if (type == DType::bf16) body(static_cast<bf16*>(out));
  else body(static_cast<float*>(out));
}

void forward(Context& context, void* y, DType y_type, const bf16* x, const bf16* weight, int64_t M, int64_t N, int64_t K) {
  with_level(context.level, [&](auto level) {
    constexpr Level kLevel = decltype(level)::value;
    with_result(y, y_type, [&](auto* out) {
      if (M <= kFewRows) return launch_few_rows<kLevel>(context, Stored<std::remove_pointer_t<decltype(out)>>{out, int(M), int(N)}, x, weight, M, N, K);
      const Scratch s = scratch<kLevel>(context, x, M, K, weight, N, K, 0);
      launch_gemm<kLevel, Lines::along, Lines::along, false>(context, Matrix<kLevel>{x, int(K), s.amax}, Matrix<kLevel>{weight, int(K), s.amax + 1}, out, M, N, K, K);
    });
  });
}

void backward_input(Context& context, void* dx, DType dx_type, const bf16* dy, const bf16* weight, int64_t M, int64_t N, int64_t K) {
  with_level(context.level, [&](auto level) {
    constexpr Level kLevel = decltype(level)::value;
    with_result(dx, dx_type, [&](auto* out) {
      const Scratch s = scratch<kLevel>(context, dy, M, N, weight, N, K, 0);
      launch_gemm<kLevel, Lines::along, Lines::across, false>(context, Matrix<kLevel>{dy, int(N), s.amax}, Matrix<kLevel>{weight, int(K), s.amax + 1}, out, M, K, N, N);
    });
  });
}

// How many tokens one block sums.
int64_t token_chunk(int64_t M, int64_t N, int64_t K) {
  const int64_t tiles = divide_up(N, gpu::kSumTile) * divide_up(K, gpu::kSumTile);
  const int64_t parts = std::max<int64_t>(1, std::min(divide_up(gpu::kSumBlocks, tiles), M / gpu::kSumTokens));
  return divide_up<int64_t>(divide_up(M, parts), kStep) * kStep;
}

void backward_weight(Context& context, float* dweight, const bf16* dy, const bf16* x, int64_t M, int64_t N, int64_t K) {
  if (M == 0) return;
  const int64_t chunk = token_chunk(M, N, K), parts = divide_up(M, chunk);
  with_level(context.level, [&](auto level) {
    constexpr Level kLevel = decltype(level)::value;
    const Scratch s = scratch<kLevel>(context, dy, M, N, x, M, K, parts > 1 ? size_t(parts * N * K) * sizeof(float) : 0);
    const Matrix<kLevel> a{dy, int(N), s.amax}, b{x, int(K), s.amax + 1};
    if (parts == 1) return launch_gemm<kLevel, Lines::across, Lines::across, true>(context, a, b, dweight, N, K, M, M);
    float* part = static_cast<float*>(s.rest);
    launch_gemm<kLevel, Lines::across, Lines::across, false>(context, a, b, part, N, K, M, chunk);
    sum_parts<true>(context, dweight, part, N * K, parts);
  });
}

}  // namespace

const gpu::Matmul matmul = {forward, backward_input, backward_weight};

}  // namespace gt::GT_GPU
