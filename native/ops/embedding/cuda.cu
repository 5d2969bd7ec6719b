// One warp a row of x or of dtable, eight columns a lane; wide rows are cut along the grid's y into pieces of 256 columns.
#include <vector>

#include "gpu/kernel.h"
#include "ops/embedding/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kColumns = 8 * 32;  // of a warp

// This thread's row (or group) and its first column; either may be past the end.
__device__ __forceinline__ int64_t own_row() { return int64_t(blockIdx.x) * kWarps + (threadIdx.x >> 5); }
__device__ __forceinline__ int64_t own_column() { return int64_t(blockIdx.y) * kColumns + 8 * (threadIdx.x & 31); }

__global__ void __launch_bounds__(kThreads) forward_kernel(float* x, const bf16* table, const int32_t* ids, int64_t T, int64_t C, float scale) {
  const int64_t t = own_row(), c = own_column();
  if (t >= T || c >= C) return;
  float v[8];
  load_8(v, table + ids[t] * C + c);
#pragma unroll
  for (int j = 0; j < 8; j++) v[j] *= scale;
  store_8(x + t * C + c, v);
}

// Group g has one id, ids[g], and so a row of dtable to itself.
__global__ void __launch_bounds__(kThreads) backward_kernel(float* dtable, const float* dx, const int32_t* ids, const int32_t* order, const int32_t* starts, int64_t G, int64_t C, float scale) {
  const int64_t g = own_row(), c = own_column();
  if (g >= G || c >= C) return;
  const int first = starts[g], end = starts[g + 1];
  float* row = dtable + ids[g] * C + c;
  float sum[8];
  load_8(sum, row);
#pragma unroll 4
  for (int i = first; i < end; i++) {
    float d[8];
    load_8(d, dx + order[i] * C + c);
#pragma unroll
    for (int j = 0; j < 8; j++) sum[j] = fmaf(scale, d[j], sum[j]);
  }
  store_8(row, sum);
}

dim3 blocks(int64_t rows, int64_t C) { return dim3(unsigned(divide_up<int64_t>(rows, kWarps)), unsigned(divide_up<int64_t>(C, kColumns))); }
const int32_t* staged(Context& context, const int32_t* numbers, size_t n) { return static_cast<const int32_t*>(context.stage(numbers, n * sizeof *numbers)); }

void forward(Context& context, float* x, const bf16* table, const int32_t* ids, int64_t T, int64_t C, float scale) {
  launch(context, blocks(T, C), kThreads, 0, forward_kernel, x, table, staged(context, ids, size_t(T)), T, C, scale);
}

void backward(Context& context, float* dtable, const float* dx, const int32_t* ids, const int32_t* order, const int32_t* starts, int64_t T, int64_t G, int64_t C, float scale) {
  std::vector<int32_t> groups(order, order + T);  // then starts, then the id of each group: one piece
  groups.insert(groups.end(), starts, starts + G + 1);
  for (int64_t g = 0; g < G; g++) groups.push_back(ids[order[starts[g]]]);
  const int32_t* const on_device = staged(context, groups.data(), groups.size());
  launch(context, blocks(G, C), kThreads, 0, backward_kernel, dtable, dx, on_device + T + G + 1, on_device, on_device + T, G, C, scale);
}

}  // namespace

const gpu::Embedding embedding = {forward, backward};

}  // namespace gt::GT_GPU
