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

// Of a whole row; `first`: the lowest index of the peak. A row with a number that is not finite has NaN as its mass.
struct RowSums {
  float peak, mass, moment;
  int first;
};

// Thread 0 of the block has the result.
template <class E>
__device__ __forceinline__ RowSums sums_of_row(const E* z, int V, float* part, int* part_first) {
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
#pragma unroll
  for (int w = 1; w < kWarps; w++) first = min(first, part_first[w]);
  first = min(first, part_first[0]);
  // Some exponentials are finite where a logit is not; the moment is finite exactly when all logits are.
  if (!(fabsf(moment) <= FLT_MAX)) mass = bits_float(0x7fc00000u);
  return {peak, mass, moment, first};
}

template <class E>
__global__ void __launch_bounds__(kThreads) statistics_kernel(float* loss, float* entropy, int32_t* correct, SoftmaxRow* softmax, const E* logits, const int32_t* targets, int V) {
  SHARED(float, part, [kWarps]);
  SHARED(int, part_first, [kWarps]);
  const int row = int(blockIdx.x);
  const E* z = logits + int64_t(row) * V;
  const RowSums sums = sums_of_row(z, V, part, part_first);
  if (threadIdx.x != 0) return;
  const int target = targets[row];
  const float log_mass = logf(sums.mass), row_loss = log_mass - (load_float(z + target) - sums.peak);
  loss[row] = row_loss;
  entropy[row] = log_mass - sums.moment / sums.mass;
  correct[row] = sums.first == target && sums.mass == sums.mass;
  if (softmax) softmax[row] = {sums.peak, log2f(sums.mass), expm1f(-row_loss), target};
}

template <class E>
void statistics(Context& context, float* loss, float* entropy, int32_t* correct, SoftmaxRow* softmax, const E* logits, const int32_t* targets, int64_t R, int64_t V) {
  const void* staged = context.stage(targets, size_t(R) * sizeof *targets);
  launch(context, unsigned(R), kThreads, 0, statistics_kernel<E>, loss, entropy, correct, softmax, logits, static_cast<const int32_t*>(staged), V);
}

// ---- statistics of a slice of the vocabulary

constexpr int kStatistics = 5;

__global__ void __launch_bounds__(kThreads) slice_statistics_kernel(float* statistics, const bf16* logits, const int32_t* targets, int first, int V) {
  SHARED(float, part, [kWarps]);
  SHARED(int, part_first, [kWarps]);
  const int row = int(blockIdx.x);
  const bf16* z = logits + int64_t(row) * V;
  const RowSums sums = sums_of_row(z, V, part, part_first);
  if (threadIdx.x != 0) return;
  const int target = targets[row] - first;
  float* out = statistics + int64_t(row) * kStatistics;
  out[0] = sums.peak, out[1] = sums.mass, out[2] = sums.moment;
  out[3] = target >= 0 && target < V ? load_float(z + target) : 0.f;
  out[4] = bits_float(uint32_t(first + sums.first));
}

// A thread takes a row. Slices are in the order of their ids, so the first that has the peak has its lowest id.
__global__ void __launch_bounds__(kThreads) merge_kernel(float* loss, float* entropy, int32_t* correct, SoftmaxRow* softmax, const float* statistics, const int32_t* targets, int first, int slices, int R) {
  const int row = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (row >= R) return;
  const auto of = [&](int slice) { return statistics + (int64_t(slice) * R + row) * kStatistics; };
  const float* top = of(0);
  for (int s = 1; s < slices; s++)
    if (of(s)[0] > top[0]) top = of(s);
  const float peak = top[0];
  float mass = 0, moment = 0, logit = 0;
  for (int s = 0; s < slices; s++) {
    if (of(s)[1] == 0) continue;  // no ids, no peak
    const float d = of(s)[0] - peak, e = fast_exp(d);
    mass += e * of(s)[1], moment += e * of(s)[2] + e * d * of(s)[1];  // d · mass alone may overflow
    logit += of(s)[3];
  }
  if (!(fabsf(moment) <= FLT_MAX)) mass = bits_float(0x7fc00000u);
  const int target = targets[row];
  const float log_mass = logf(mass), row_loss = log_mass - (logit - peak);
  loss[row] = row_loss;
  entropy[row] = log_mass - moment / mass;
  correct[row] = float_bits(top[4]) == uint32_t(target) && mass == mass;
  softmax[row] = {peak, log2f(mass), expm1f(-row_loss), target - first};
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

// Of a matrix; one line of memory, apart from what follows.
constexpr size_t kAmaxBytes = 256;

void forward(Context& context, float* loss, float* entropy, int32_t* correct, const void* logits, DType type, const int32_t* targets, int64_t R, int64_t V) {
  if (type == DType::bf16) statistics(context, loss, entropy, correct, nullptr, static_cast<const bf16*>(logits), targets, R, V);
  else statistics(context, loss, entropy, correct, nullptr, static_cast<const float*>(logits), targets, R, V);
}

// The power of two by which a matrix becomes fp16, on the code path that scales; `amax`: room for it.
template <Level kLevel>
void measure(Context& context, uint32_t* amax, const bf16* matrix, int64_t rows, int64_t columns) {
  if constexpr (!Format<kLevel>::kScaled) return;
  context.zero(amax, kAmaxBytes);
  launch_amax(context, amax, matrix, rows, columns, columns);
}

// dx (=), from logits and what makes gradients of them; `part`: [parts, R, C].
void gradient_of_x(Context& context, bf16* dx, const bf16* logits, const SoftmaxRow* softmax, const bf16* weight, uint32_t* amax, float* part, int64_t R, int64_t V, int64_t C) {
  with_level(context.level, [&](auto level) {
    constexpr Level kLevel = decltype(level)::value;
    measure<kLevel>(context, amax, weight, V, C);
    const SoftmaxGradient<kLevel> dlogits{logits, int(V), softmax};
    launch_gemm<kLevel, Lines::along, Lines::across, false>(context, dlogits, Matrix<kLevel>{weight, int(C), amax}, part, R, C, V, gpu::kVocabularyChunk);
    sum_parts<false>(context, dx, part, R * C, divide_up(V, gpu::kVocabularyChunk));
  });
}

// dweight (+=)
void gradient_of_weight(Context& context, float* dweight, const bf16* logits, const SoftmaxRow* softmax, const bf16* x, uint32_t* amax, int64_t R, int64_t V, int64_t C) {
  with_level(context.level, [&](auto level) {
    constexpr Level kLevel = decltype(level)::value;
    measure<kLevel>(context, amax, x, R, C);
    const SoftmaxGradient<kLevel> dlogits{logits, int(V), softmax};
    launch_gemm<kLevel, Lines::across, Lines::across, true>(context, dlogits, Matrix<kLevel>{x, int(C), amax}, dweight, V, C, R, R);
  });
}

void linear(Context& context, float* loss, float* entropy, int32_t* correct, bf16* dx, float* dweight, bf16* logits, const bf16* x, const bf16* weight, const int32_t* targets, int64_t R, int64_t V, int64_t C) {
  matmul.forward(context, logits, DType::bf16, x, weight, R, V, C);

  const size_t softmax_bytes = size_t(R) * sizeof(SoftmaxRow);
  char* memory = static_cast<char*>(context.scratch(2 * kAmaxBytes + softmax_bytes + size_t(divide_up(V, gpu::kVocabularyChunk) * R * C) * sizeof(float)));
  uint32_t* amax = reinterpret_cast<uint32_t*>(memory);
  SoftmaxRow* softmax = reinterpret_cast<SoftmaxRow*>(memory + 2 * kAmaxBytes);
  statistics(context, loss, entropy, correct, softmax, logits, targets, R, V);
  gradient_of_x(context, dx, logits, softmax, weight, amax, reinterpret_cast<float*>(memory + 2 * kAmaxBytes + softmax_bytes), R, V, C);
  gradient_of_weight(context, dweight, logits, softmax, x, amax + kAmaxBytes / sizeof *amax, R, V, C);
}

const int32_t* staged(Context& context, const int32_t* ids, int64_t n) { return static_cast<const int32_t*>(context.stage(ids, size_t(n) * sizeof *ids)); }

void slice_statistics(Context& context, float* statistics, const bf16* logits, const int32_t* targets, int64_t first, int64_t R, int64_t V) {
  launch(context, unsigned(R), kThreads, 0, slice_statistics_kernel, statistics, logits, staged(context, targets, R), first, V);
}

void merge(Context& context, float* loss, float* entropy, int32_t* correct, float* merged, const float* statistics, const int32_t* targets, int64_t first, int64_t slices, int64_t R) {
  launch(context, unsigned(divide_up<int64_t>(R, kThreads)), kThreads, 0, merge_kernel, loss, entropy, correct, reinterpret_cast<SoftmaxRow*>(merged), statistics, staged(context, targets, R), first, slices, R);
}

void slice_dx(Context& context, bf16* dx, const bf16* logits, const float* merged, const bf16* weight, int64_t R, int64_t V, int64_t C) {
  char* memory = static_cast<char*>(context.scratch(kAmaxBytes + size_t(divide_up(V, gpu::kVocabularyChunk) * R * C) * sizeof(float)));
  gradient_of_x(context, dx, logits, reinterpret_cast<const SoftmaxRow*>(merged), weight, reinterpret_cast<uint32_t*>(memory), reinterpret_cast<float*>(memory + kAmaxBytes), R, V, C);
}

void slice_dweight(Context& context, float* dweight, const bf16* logits, const float* merged, const bf16* x, int64_t R, int64_t V, int64_t C) {
  gradient_of_weight(context, dweight, logits, reinterpret_cast<const SoftmaxRow*>(merged), x, static_cast<uint32_t*>(context.scratch(kAmaxBytes)), R, V, C);
}

}  // namespace

const gpu::CrossEntropy cross_entropy = {forward, linear, slice_statistics, merge, slice_dx, slice_dweight};

}  // namespace gt::GT_GPU
