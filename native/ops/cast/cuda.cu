// A thread takes eight elements.
#include "gpu/kernel.h"
#include "ops/cast/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kThreads = 256;

template <class To, class From>
__global__ void __launch_bounds__(kThreads) convert_kernel(To* to, const From* from, int64_t N) {
  const int64_t i = 8 * (int64_t(blockIdx.x) * kThreads + threadIdx.x);
  if (i >= N) return;
  float v[8];
  load_8(v, from + i);
  store_8(to + i, v);
}

template <class To, class From>
void convert(Context& context, To* to, const From* from, int64_t N) {
  launch(context, unsigned(divide_up<int64_t>(N, 8 * kThreads)), kThreads, 0, convert_kernel<To, From>, to, from, N);
}

}  // namespace

const gpu::Cast cast = {convert<bf16, float>, convert<float, bf16>};

}  // namespace gt::GT_GPU
