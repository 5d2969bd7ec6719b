// The door of sampling: checks operands and options, draws the random numbers, then picks the backend.
#include "ops/sampling/sampling.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/profile.h"
#include "ops/matmul/matmul.h"
#include "ops/sampling/cpu.h"
#include "ops/sampling/gpu.h"
#include "ops/sampling/philox.h"

namespace gt {

void check_sampling(const char* op, const Sampling& s) {
  require(s.temperature >= 0 && std::isfinite(s.temperature), Code::kArgument, op, ": temperature is ", s.temperature, ", expected 0 (greedy) or more");
  require(s.top_k >= 0, Code::kArgument, op, ": top_k is ", s.top_k, ", expected 0 (all) or more");
  require(s.top_p > 0 && s.top_p <= 1, Code::kArgument, op, ": top_p is ", s.top_p, ", expected above 0 and at most 1 (all)");
}

static void check_chosen(const char* op, const int32_t* next, int64_t B) {
  for (int64_t b = 0; b < B; b++)
    require(next[b] >= 0, Code::kArgument, op, ": row ", b, " of the logits holds NaN or its largest is not finite; the weights are damaged or training diverged");
}

void next_tokens(Device& device, const Tensor& next, const Tensor& logits, const Sampling& sampling, const int64_t* keys, const int64_t* steps) {
  const char* op = "next_tokens";
  const Span span(device, op);
  require(logits.rank == 2 && logits.shape[1] > 0, Code::kShape, op, ": logits is ", logits.describe(), ", expected [B, V]");
  const int64_t B = logits.shape[0], V = logits.shape[1];
  require_dtype(op, "logits", logits, {DType::f32});
  require_shape(op, "next", next, {B});
  require_dtype(op, "next", next, {DType::i32});
  check_sampling(op, sampling);
  int32_t* out = next.as<int32_t>();
  const float* z = logits.as<float>();

  const bool greedy = sampling.temperature == 0;
  std::vector<double> uniforms;
  for (int64_t b = 0; !greedy && b < B; b++) uniforms.push_back(uniform(sampling.seed, keys[b], steps[b]));
  SamplingFilters filters;
  filters.temperature = sampling.temperature;
  filters.top_k = sampling.top_k == 0 ? V : std::min<int64_t>(sampling.top_k, V);
  filters.drop_below = sampling.top_p < 1 ? float(1 - sampling.top_p) : -1;

  switch (device.kind) {
    case DeviceKind::cpu: {
      const auto& kernels = GT_PICK(cpu::sampling);
      if (greedy) kernels.greedy(device.threads(), out, z, B, V);
      else kernels.sample(device.threads(), out, z, uniforms.data(), B, V, filters);
      break;
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated: {
      require(V <= gpu::kLargestVocabulary, Code::kShape, op, ": logits is ", logits.describe(), ", the ", name_of(device.kind), " backend takes V up to ", gpu::kLargestVocabulary);
      const auto& kernels = GT_PICK_GPU(device, sampling);
      if (greedy) kernels.greedy(device.gpu(), out, z, B, V);
      else kernels.sample(device.gpu(), out, z, uniforms.data(), B, V, filters);
      break;
    }
  }
  check_chosen(op, out, B);
}

void greedy_tokens(Device& device, const Tensor& next, const Tensor& x, const Tensor& weight, const Tensor& logits) {
  const char* op = "greedy_tokens";
  const Span span(device, op);
  require(x.rank == 2 && weight.rank == 2, Code::kShape, op, ": got x ", x.describe(), " and weight ", weight.describe(), ", expected [B, C] and [V, C]");
  const int64_t B = x.shape[0], V = weight.shape[0], C = weight.shape[1];
  require_shape(op, "x", x, {B, C});
  require_shape(op, "next", next, {B});
  require_dtype(op, "next", next, {DType::i32});
  const bool fused = !device.on_host() && B <= gpu::kFusedRows && x.dtype == DType::bf16 && weight.dtype == DType::bf16 && C % 8 == 0 && V > 0 && V <= gpu::kLargestVocabulary;
  if (!fused) {
    matmul_forward(device, logits, x, weight);
    return next_tokens(device, next, logits, {}, nullptr, nullptr);
  }
  GT_PICK_GPU(device, sampling).greedy_of_products(device.gpu(), next.as<int32_t>(), x.as<bf16>(), weight.as<bf16>(), B, V, C);
  check_chosen(op, next.as<int32_t>(), B);
}

}  // namespace gt
