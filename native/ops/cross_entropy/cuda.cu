// GPU backend of cross_entropy. A block reads a row of logits once for all its statistics. The gradient of the logits is never
// written: the two products that need it form it from the logits on their way to shared memory.
#include <cfloat>

#include "ops/cross_entropy/gpu.h"
#include "ops/matmul/gemm.h"
#include "ops/matmul/gpu.h"

namespace gt::GT_GPU {
namespace {

// What turns a row's logits z into their gradient: exp2((z[v] - peak) log2 e - log2_mass), but at_target at v = target.
// A row with a number that is not finite has NaN here.
struct alignas(16) SoftmaxRow {
  float peak, log2_mass, at_target;
  int32_t target;
};

// ---- statistics

// With d[v] = z[v] - peak:  mass = sum_v e^d,  moment = sum_v d e^d. mass is 0 before the first logit.
struct Sums {
  float peak = -FLT_MAX, mass = 0, moment = 0;

  __device__ __forceinline__ void raise_peak(float to) {
    if (mass != 0) {
      const float d = peak - to, e = fast_exp(d);
      moment = e * (moment + d * mass), mass *= e;
    }
    peak = to;
  }
};

constexpr int kThreads = 256, kWarps = kThreads / 32;

template <class E>
__global__ void __launch_bounds__(kThreads) statistics_kernel(float* loss, float* entropy, int32_t* correct, SoftmaxRow* softmax, const E* logits, const int32_t* targets, int V) {
  SHARED(float, part, [kWarps]);
  SHARED(int, part_first, [kWarps]);
  const int row = int(blockIdx.x);
  const E* z = logits + int64_t(row) * V;

  Sums sums;
  int first = 0;  // of the logits that are the peak
  for (int v = int(threadIdx.x) * 8; v < V; v += kThreads * 8) {
    float piece[8], peak = sums.peak;
    load_8(piece, z + v);
#pragma unroll
    for (int i = 0; i < 8; i++)
      if (piece[i] > peak) peak = piece[i], first = v + i;
    if (peak > sums.peak) sums.raise_peak(peak);
    float mass = 0, moment = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const float d = piece[i] - peak, e = fast_exp(d);
      mass += e, moment += d * e;
    }
    sums.mass += mass, sums.moment += moment;
  }

  const float thread_peak = sums.peak, warp_peak = warp_max(thread_peak);
  if ((threadIdx.x & 31) == 0) part[threadIdx.x / 32] = warp_peak;
  __syncthreads();
  float peak = part[0];
#pragma unroll
  for (int w = 1; w < kWarps; w++) peak = fmaxf(peak, part[w]);
  sums.raise_peak(peak);
  first = thread_peak == peak ? first : V;
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) first = min(first, __shfl_xor_sync(kFullWarp, first, lane));
  if ((threadIdx.x & 31) == 0) part_first[threadIdx.x / 32] = first;
  float mass = block_sum<kWarps>(sums.mass, part);
  const float moment = block_sum<kWarps>(sums.moment, part);
  if (threadIdx.x != 0) return;

#pragma unroll
  for (int w = 1; w < kWarps; w++) first = min(first, part_first[w]);
  // Some exponentials are finite where a logit is not; the moment is finite exactly when all logits are.
  if (!(fabsf(moment) <= FLT_MAX)) mass = bits_float(0x7fc00000u);
  const int target = targets[row];
  const float log_mass = logf(mass), row_loss = log_mass - (load_float(z + target) - peak);
  loss[row] = row_loss;
  entropy[row] = log_mass - moment / mass;
  correct[row] = first == target && mass == mass;
  if (softmax) softmax[row] = {peak, log2f(mass), expm1f(-row_loss), target};
}

template <class E>
void statistics(Context& context, float* loss, float* entropy, int32_t* correct, SoftmaxRow* softmax, const E* logits, const int32_t* targets, int64_t R, int64_t V) {
  const void* staged = context.stage(targets, size_t(R) * sizeof *targets);
  launch(context, unsigned(R), kThreads, 0, statistics_kernel<E>, loss, entropy, correct, softmax, logits, static_cast<const int32_t*>(staged), V);
}

// ---- gradient

// A Source for gemm.h whose numbers are the gradient of logits; lines are rows, that is tokens. They lie in [-1, 1]: sm75's containers
// need no amax, and their 2^-24 · 2^-15 keeps probabilities that bfloat16's rounding of larger ones drowns.
template <Level kLevel>
struct SoftmaxGradient {
  static constexpr bool kCopied = false;

  const bf16* data;
  int stride;
  const SoftmaxRow* softmax;

  __device__ __forceinline__ static float scale() { return Format<kLevel>::kScaled ? 0x1p15f : 1.f; }
  __device__ __forceinline__ static int unscale() { return Format<kLevel>::kScaled ? -15 : 0; }
  __device__ __forceinline__ uint4 operand(uint4 logits, int line, int position, float scale) const {
    const SoftmaxRow& row = softmax[line];
    const float peak = row.peak, log2_mass = row.log2_mass;
    auto probability = [&](float z) { return scale * fast_exp2((z - peak) * kLog2e - log2_mass); };
    auto pair = [&](uint32_t z) { return Format<kLevel>::pack(probability(low_bf16(z)), probability(high_bf16(z))); };
    uint4 gradient = make_uint4(pair(logits.x), pair(logits.y), pair(logits.z), pair(logits.w));
    const unsigned at = unsigned(row.target - position);
    if (at < 8) {
      const uint32_t value = Format<kLevel>::pack(scale * row.at_target, 0), shift = at % 2 * 16;
      auto insert = [&](uint32_t& pair, unsigned i) {
        if (at / 2 == i) pair = (pair & 0xffff0000u >> shift) | value << shift;
      };
      insert(gradient.x, 0), insert(gradient.y, 1), insert(gradient.z, 2), insert(gradient.w, 3);
    }
    return gradient;
  }
};

// dx sums over the vocabulary: rows are few, so blocks share the sum. By the vocabulary alone: a row's bits do not depend on its batch.
constexpr int64_t kVocabularyChunk = 32768;

void forward(Context& context, float* loss, float* entropy, int32_t* correct, const void* logits, DType type, const int32_t* targets, int64_t R, int64_t V) {
  if (type == DType::bf16) statistics(context, loss, entropy, correct, nullptr, static_cast<const bf16*>(logits), targets, R, V);
  else statistics(context, loss, entropy, correct, nullptr, static_cast<const float*>(logits), targets, R, V);
}

void linear(Context& context, float* loss, float* entropy, int32_t* correct, bf16* dx, float* dweight, bf16* logits, const bf16* x, const bf16* weight, const int32_t* targets, int64_t R, int64_t V, int64_t C) {
  matmul.forward(context, logits, DType::bf16, x, weight, R, V, C);

  const int64_t parts = divide_up(V, kVocabularyChunk);
  const size_t softmax_bytes = size_t(R) * sizeof(SoftmaxRow), slot_bytes = 256;
  char* memory = static_cast<char*>(context.scratch(slot_bytes + softmax_bytes + size_t(parts * R * C) * sizeof(float)));
  uint32_t* amax = reinterpret_cast<uint32_t*>(memory);
  SoftmaxRow* softmax = reinterpret_cast<SoftmaxRow*>(memory + slot_bytes);
  float* part = reinterpret_cast<float*>(memory + slot_bytes + softmax_bytes);

  statistics(context, loss, entropy, correct, softmax, logits, targets, R, V);
  with_level(context.level, [&](auto level) {
    constexpr Level kLevel = decltype(level)::value;
    if constexpr (Format<kLevel>::kScaled) {
      context.zero(amax, slot_bytes);
      launch_amax(context, amax, weight, V, C, C);
      launch_amax(context, amax + 1, x, R, C, C);
    }
    const SoftmaxGradient<kLevel> dlogits{logits, int(V), softmax};
    launch_gemm<kLevel, Lines::along, Lines::across, false>(context, dlogits, Matrix<kLevel>{weight, int(C), amax}, part, R, C, V, kVocabularyChunk);
    sum_parts<false>(context, dx, part, R * C, parts);
    launch_gemm<kLevel, Lines::across, Lines::across, true>(context, dlogits, Matrix<kLevel>{x, int(C), amax + 1}, dweight, V, C, R, R);
  });
}

}  // namespace

const gpu::CrossEntropy cross_entropy = {forward, linear};

}  // namespace gt::GT_GPU
