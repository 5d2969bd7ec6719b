// The same walk as on the CPU (cpu.cpp): nothing is sorted or stored, both filters are a cut in the ascending order of the logits.
//
// Probability masses are integers: exp((z - largest) / temperature) in units of 2^-44, cut. Sums of them are exact, so atomics in any
// order give the same bits, and "first where the sum exceeds a target" means the same in every pass. The largest logit has mass 2^44;
// at most 2^19 masses fit 63 bits; cutting loses less than V · 2^-44 = 2^-26 of a whole row at V = 2^18, below float32's own error.
#include <cmath>

#include "gpu/kernel.h"
#include "ops/matmul/few_rows.h"
#include "ops/sampling/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kThreads = 1024, kWarps = kThreads / 32;
constexpr int kBatch = 8;  // loads in flight in a thread
constexpr int kMassBits = 44;
static_assert(gpu::kLargestVocabulary <= int64_t(1) << (63 - kMassBits), "sums of masses must fit");

// ---- logits and their order

// Unsigned order is the order of the logits; -0 becomes 0: they are equal.
__device__ __forceinline__ uint32_t order_of(float x) {
  const uint32_t bits = float_bits(x + 0.f);
  return bits ^ (uint32_t(int32_t(bits) >> 31) | 0x80000000u);
}
__device__ __forceinline__ float value_of(uint32_t order) { return bits_float(order & 0x80000000u ? order ^ 0x80000000u : ~order); }
constexpr uint32_t kMinusInfinity = 0x007fffffu, kInfinity = 0xff800000u;  // orders

// body(v, z[v]) for v = begin, begin + stride, ... below end.
template <int stride, class Body>
__device__ __forceinline__ void each(const float* z, int begin, int end, const Body& body) {
  for (int v = begin; v < end; v += stride * kBatch) {
    float x[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++) x[i] = v + i * stride < end ? z[v + i * stride] : 0.f;
#pragma unroll
    for (int i = 0; i < kBatch; i++)
      if (v + i * stride < end) body(v + i * stride, x[i]);
  }
}

// ---- warps of 64-bit integers

__device__ __forceinline__ uint64_t warp_total(uint64_t v) {
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) v += __shfl_xor_sync(kFullWarp, v, lane);
  return v;
}
// Of this lane's value and those of lower lanes.
__device__ __forceinline__ uint64_t warp_prefix(uint64_t v) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    const uint64_t lower = __shfl_up_sync(kFullWarp, v, d);
    if (lane >= d) v += lower;
  }
  return v;
}

// ---- the largest logit of a row

constexpr int kPeakThreads = 256, kPart = 8192;

// A logit and its id: the largest key is the largest logit, of equal ones the lowest id; NaN is above all.
__device__ __forceinline__ uint64_t peak_key(float x, int v) { return x != x ? ~uint64_t(0) : uint64_t(order_of(x)) << 32 | ~uint32_t(v); }
__device__ __forceinline__ uint64_t warp_largest(uint64_t key) {
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) {
    const uint64_t other = __shfl_xor_sync(kFullWarp, key, lane);
    key = other > key ? other : key;
  }
  return key;
}

// keys [B, parts]: the largest key of each part of kPart logits. Grid (B, parts).
__global__ void __launch_bounds__(kPeakThreads) peak_kernel(uint64_t* keys, const float* logits, int V) {
  SHARED(uint64_t, warps, [kPeakThreads / 32]);
  const int begin = blockIdx.y * kPart, end = begin + kPart < V ? begin + kPart : V;
  uint64_t largest = 0;
  each<kPeakThreads>(logits + int64_t(blockIdx.x) * V, begin + threadIdx.x, end, [&](int v, float x) {
    const uint64_t key = peak_key(x, v);
    largest = key > largest ? key : largest;
  });
  largest = warp_largest(largest);
  if ((threadIdx.x & 31) == 0) warps[threadIdx.x / 32] = largest;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  largest = warp_largest(threadIdx.x < kPeakThreads / 32 ? warps[threadIdx.x] : 0);
  if (threadIdx.x == 0) keys[int64_t(blockIdx.x) * gridDim.y + blockIdx.y] = largest;
}

// Of a row, for all lanes of a warp; 0 if the row holds NaN or its largest logit is not finite.
__device__ __forceinline__ uint64_t row_peak(const uint64_t* keys, int parts) {
  uint64_t largest = 0;
  for (int p = threadIdx.x & 31; p < parts; p += 32) largest = keys[p] > largest ? keys[p] : largest;
  largest = warp_largest(largest);
  const uint32_t order = uint32_t(largest >> 32);
  return order > kMinusInfinity && order < kInfinity ? largest : 0;
}

// A warp a row.
__global__ void __launch_bounds__(32) greedy_kernel(int32_t* next, const uint64_t* keys, int parts) {
  const uint64_t peak = row_peak(keys + int64_t(blockIdx.x) * parts, parts);
  if (threadIdx.x == 0) next[blockIdx.x] = peak ? int32_t(~uint32_t(peak)) : -1;
}

// A result of ops/matmul/few_rows.h: keys [M] = each row's largest key, 0 before. The largest does not depend on the order of the atomics.
struct LargestOfRow {
  unsigned long long* keys;
  int M, N;
  __device__ __forceinline__ void take(int m, int n, float sum) const {
    uint64_t key = m < M && n < N ? peak_key(sum, n) : 0;
#pragma unroll
    for (int lane = 8; lane; lane >>= 1) {
      const uint64_t other = __shfl_xor_sync(kFullWarp, key, lane);
      key = other > key ? other : key;
    }
    if (threadIdx.x % kFewRowsColumns == 0 && m < M) atomicMax(keys + m, static_cast<unsigned long long>(key));
  }
};

// ---- sampling

struct Row {
  const float* z;
  int V;
  float largest, temperature;

  __device__ __forceinline__ uint64_t mass(float x) const {
    const uint32_t bits = float_bits(expf((x - largest) / temperature));
    const int below_one = 127 - int(bits >> 23);  // the exponent, negated
    return uint64_t((bits & 0x7fffffu) | 0x800000u) << (kMassBits - 23) >> (below_one < 63 ? below_one : 63);
  }
};

constexpr int kBins = 2 * kThreads;
struct Shared {
  uint32_t low[kBins], high[kBins];  // a histogram of 64-bit sums, in halves: atomics of 32 bits are the fast ones
  uint64_t sums[kWarps];
  uint32_t ties[kWarps];
  uint64_t below;
  uint32_t digit;
};

// Adds to a bin. How often the lower half wraps around does not depend on the order.
__device__ __forceinline__ void add_to_bin(Shared& s, uint32_t bin, uint64_t weight) {
  if (weight == 0) return;
  const uint32_t low = uint32_t(weight), before = atomicAdd(&s.low[bin], low);
  const uint32_t high = uint32_t(weight >> 32) + (before + low < before);
  if (high) atomicAdd(&s.high[bin], high);
}

// Walking up from the smallest logit and adding weights, the value at which the sum first exceeds the target, and the sum of all below
// it. `target` gets the sum of all, which must exceed it.
struct Cut {
  uint32_t order;
  uint64_t below, target;
};
template <class Weight, class Target>
__device__ Cut find_cut(Shared& s, const Row& row, const Weight& weight, const Target& target) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x / 32;
  Cut cut = {0, 0, 0};
  uint32_t known = 0;  // the bits of cut.order that are settled
#pragma unroll 1
  for (int shift = 21; shift >= 0; shift = shift == 21 ? 10 : shift - 10) {  // 11, 11 and 10 bits
    const uint32_t digits = shift == 0 ? kBins / 2 : kBins;
    for (int bin = threadIdx.x; bin < kBins; bin += kThreads) s.low[bin] = s.high[bin] = 0;
    __syncthreads();
    each<kThreads>(row.z, threadIdx.x, row.V, [&](int, float x) {
      const uint32_t order = order_of(x);
      if ((order & known) == cut.order) add_to_bin(s, (order >> shift) & (digits - 1), weight(order, x));
    });
    __syncthreads();

    // Two bins a thread.
    uint64_t bins[2], pair = 0;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int bin = 2 * threadIdx.x + i;
      pair += bins[i] = uint64_t(s.high[bin]) << 32 | s.low[bin];
    }
    const uint64_t in_warp = warp_prefix(pair);
    if (lane == 31) s.sums[warp] = in_warp;
    __syncthreads();
    uint64_t below = cut.below + in_warp - pair, total = 0;
    for (int w = 0; w < kWarps; w++) {
      if (w < warp) below += s.sums[w];
      total += s.sums[w];
    }
    if (known == 0) cut.target = target(total);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      if (below <= cut.target && cut.target < below + bins[i]) s.digit = 2 * threadIdx.x + i, s.below = below;  // one thread's
      below += bins[i];
    }
    __syncthreads();
    cut.order |= s.digit << shift, cut.below = s.below;
    known |= (digits - 1) << shift;
  }
  return cut;
}

// The largest multiple of the unit that is not above x · total, and below total. x is at least 0.
__device__ __forceinline__ uint64_t share(double x, uint64_t total) {
  const double product = x * double(total);
  return product < double(total) && uint64_t(product) < total ? uint64_t(product) : total - 1;
}

struct Filters {
  float temperature;
  int top_k;
  double drop;  // the probability up to which the smallest go; negative: no top-p
};

// A block a row.
__global__ void __launch_bounds__(kThreads) sample_kernel(int32_t* next, const uint64_t* keys, int parts, const float* logits, const double* uniforms, int V, Filters f) {
  SHARED(Shared, shared, [1]);
  Shared& s = shared[0];
  const int lane = threadIdx.x & 31, warp = threadIdx.x / 32;
  const uint64_t peak = row_peak(keys + int64_t(blockIdx.x) * parts, parts);
  if (!peak) {
    if (threadIdx.x == 0) next[blockIdx.x] = -1;
    return;
  }
  const Row row = {logits + int64_t(blockIdx.x) * V, V, value_of(uint32_t(peak >> 32)), f.temperature};

  // What stays: every logit above the cut, and of those at it all but the first `dropped` ids.
  uint32_t cut = 0, dropped = 0;
  if (f.top_k < V) cut = find_cut(s, row, [](uint32_t, float) { return uint64_t(1); }, [=](uint64_t) { return uint64_t(V - f.top_k); }).order;
  if (f.drop >= 0) {
    const uint32_t lowest = cut;
    const Cut c = find_cut(
        s, row, [=](uint32_t order, float x) { return order >= lowest ? row.mass(x) : 0; }, [=](uint64_t total) { return share(f.drop, total); });
    cut = c.order;
    dropped = uint32_t((c.target - c.below) / row.mass(value_of(cut)));
  }
  const uint64_t mass_at_cut = cut ? row.mass(value_of(cut)) : 0;

  // The first token, by id, up to which the kept mass exceeds the target lies in [begin, end). Every warp adds up a piece; then all
  // look at the piece that holds it, until it is a warp wide. `ties` and `sum` are of what lies before begin.
  int begin = 0, end = V;
  uint32_t ties = 0;
  uint64_t sum = 0, target = 0;
  for (bool first = true; first || end - begin > 32; first = false) {
    const int piece = divide_up(divide_up(end - begin, kWarps), 32) * 32;
    const int from = begin + warp * piece, to = from + piece < end ? from + piece : end;
    uint64_t above = 0, at = 0;
    each<32>(row.z, from + lane, to, [&](int, float x) {
      const uint32_t order = order_of(x);
      if (order > cut) above += row.mass(x);
      at += order == cut;
    });
    above = warp_total(above), at = warp_total(at);
    __syncthreads();
    if (lane == 0) s.sums[warp] = above, s.ties[warp] = uint32_t(at);
    __syncthreads();
    // Lane p has piece p, in every warp alike.
    const uint32_t piece_ties = s.ties[lane], ties_after = ties + uint32_t(warp_prefix(piece_ties)), ties_before = ties_after - piece_ties;
    const uint32_t kept_ties = ties_after <= dropped ? 0 : ties_after - (ties_before > dropped ? ties_before : dropped);
    const uint64_t mass = s.sums[lane] + kept_ties * mass_at_cut, sum_after = sum + warp_prefix(mass);
    if (first) target = share(uniforms[blockIdx.x], __shfl_sync(kFullWarp, sum_after, 31));
    const int holder = __ffs(int(__ballot_sync(kFullWarp, sum_after > target))) - 1;
    ties = __shfl_sync(kFullWarp, ties_before, holder), sum = __shfl_sync(kFullWarp, sum_after - mass, holder);
    begin += holder * piece, end = begin + piece < end ? begin + piece : end;
  }

  if (warp > 0) return;
  const float x = begin + lane < end ? row.z[begin + lane] : -INFINITY;  // past the end: no mass
  const uint32_t order = order_of(x);
  const unsigned at = __ballot_sync(kFullWarp, order == cut);
  const uint32_t rank = ties + uint32_t(__popc(at & ((1u << lane) - 1)));
  const bool kept = order > cut || (order == cut && rank >= dropped);
  const uint64_t sum_after = sum + warp_prefix(kept ? row.mass(x) : 0);
  const unsigned exceeds = __ballot_sync(kFullWarp, sum_after > target);
  if (lane == 0) next[blockIdx.x] = begin + __ffs(int(exceeds)) - 1;
}

// ---- launchers

// keys [B, parts], then next [B].
struct Scratch {
  int parts;
  uint64_t* keys;
  int32_t* next;
};

Scratch find_peaks(Context& context, const float* logits, int64_t B, int64_t V) {
  Scratch s;
  s.parts = int(divide_up<int64_t>(V, kPart));
  s.keys = static_cast<uint64_t*>(context.scratch(size_t(B * s.parts) * sizeof *s.keys + size_t(B) * sizeof *s.next));
  s.next = reinterpret_cast<int32_t*>(s.keys + B * s.parts);
  launch(context, dim3(unsigned(B), unsigned(s.parts)), kPeakThreads, 0, peak_kernel, s.keys, logits, V);
  return s;
}

void greedy(Context& context, int32_t* next, const float* logits, int64_t B, int64_t V) {
  const Scratch s = find_peaks(context, logits, B, V);
  launch(context, unsigned(B), 32, 0, greedy_kernel, s.next, s.keys, s.parts);
  context.copy_to_host(next, s.next, size_t(B) * sizeof *next);
}

static_assert(gpu::kFusedRows == kFewRows, "rows of one pass over the weight");

void greedy_of_products(Context& context, int32_t* next, const bf16* x, const bf16* weight, int64_t B, int64_t V, int64_t C) {
  char* memory = static_cast<char*>(context.scratch(size_t(B) * (sizeof(uint64_t) + sizeof *next)));
  uint64_t* keys = reinterpret_cast<uint64_t*>(memory);
  int32_t* chosen = reinterpret_cast<int32_t*>(keys + B);
  context.zero(keys, size_t(B) * sizeof *keys);
  with_level(context.level, [&](auto level) {
    launch_few_rows<decltype(level)::value>(context, LargestOfRow{reinterpret_cast<unsigned long long*>(keys), int(B), int(V)}, x, weight, B, V, C);
  });
  launch(context, unsigned(B), 32, 0, greedy_kernel, chosen, static_cast<const uint64_t*>(keys), 1);
  context.copy_to_host(next, chosen, size_t(B) * sizeof *next);
}

void sample(Context& context, int32_t* next, const float* logits, const double* uniforms, int64_t B, int64_t V, const SamplingFilters& filters) {
  Filters f = {filters.temperature, int(filters.top_k), -1};
  // A token goes while its share, in float32, is at most drop_below: while it is below the middle between that and the next number.
  if (filters.drop_below >= 0) f.drop = (double(filters.drop_below) + double(std::nextafter(filters.drop_below, 2.f))) / 2;
  const Scratch s = find_peaks(context, logits, B, V);
  const auto* staged = static_cast<const double*>(context.stage(uniforms, size_t(B) * sizeof *uniforms));
  launch(context, unsigned(B), kThreads, 0, sample_kernel, s.next, s.keys, s.parts, logits, staged, V, f);
  context.copy_to_host(next, s.next, size_t(B) * sizeof *next);
}

}  // namespace

const gpu::SamplingKernels sampling = {greedy, greedy_of_products, sample};

}  // namespace gt::GT_GPU
