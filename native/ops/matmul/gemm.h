// The matrix product that ops share: out[r, c] (+)= sum_k A(r, k) B(c, k). A block computes a square tile of `out`, kSide = 128 or 64,
// in steps of 32 along the inner dimension; a warp computes kSide/2 x 32 of it.
//
// A factor comes from a Source, a matrix in memory or something computed from one on the way (ops/cross_entropy/cuda.cu). Its lines,
// which are contiguous, run along the inner dimension or across it. Lines are walked in pieces of eight numbers, 16 bytes.
//
// An element is summed in the same order by tiles of either size: a choice between them changes no bit.
#pragma once
#include "gpu/containers.h"
#include "gpu/mma.h"

namespace gt::GT_GPU {

constexpr int kStep = 32;

enum class Lines { along, across };

// A bfloat16 matrix as it is.
template <Level kLevel>
struct Matrix {
  static constexpr bool kCopied = !Format<kLevel>::kScaled;  // goes to shared memory unchanged, by cp.async

  const bf16* data;
  int stride;            // from line to line
  const uint32_t* amax;  // sm75 only (gpu/containers.h)

  __device__ __forceinline__ float scale() const { return kCopied ? 1.f : container_scale(*amax); }
  // log2 of what products are multiplied by to undo the scale
  __device__ __forceinline__ int unscale() const { return kCopied ? 0 : int(float_bits(container_unscale(*amax)) >> 23) - 127; }

  // What goes to shared memory for the piece of `data` at (line, position).
  __device__ __forceinline__ uint4 operand(uint4 piece, int, int, float scale) const { return Format<kLevel>::from_bf16(piece, scale); }
};

// kSide x kStep operands in shared memory, as pieces. The xor puts the eight rows of an 8x8 matrix into eight different bank groups.
template <Lines kLines, int kSide>
struct Tile {
  static constexpr int kPieces = kSide * kStep / 8;
  static constexpr int kLinePieces = (kLines == Lines::along ? kStep : kSide) / 8;

  __device__ __forceinline__ static int place(int line, int piece) { return line * kLinePieces + (piece ^ (kLines == Lines::along ? line >> 1 & 3 : line & 7)); }

  // The 16x16 operands at (row, k), in the order of mma's A. As B, r[0] and r[2] are columns row to row + 7, r[1] and r[3] the next eight.
  __device__ __forceinline__ static void patch(uint32_t (&r)[4], const uint4* tile, int row, int k) {
    const int lane = threadIdx.x & 31;
    if constexpr (kLines == Lines::along) ldmatrix_x4(r, tile + place(row + (lane & 15), k / 8 + (lane >> 4)));
    else ldmatrix_x4_trans(r, tile + place(k + (lane & 7) + (lane >> 4) * 8, row / 8 + (lane >> 3 & 1)));
  }
};

// A thread's share of moving one factor, step by step, from memory to shared memory: begin() starts it, finish() ends it after
// the arithmetic of an earlier step. Sources that are copied need no finish, but the wait for their group.
template <class Source, Lines kLines, int kSide, int kThreads>
class Loader {
  using Shared = Tile<kLines, kSide>;
  static constexpr int kPieces = Shared::kPieces / kThreads;
  static constexpr int kLinesApart = kThreads / Shared::kLinePieces;
  static constexpr bool kAlong = kLines == Lines::along;

 public:
  // The factor's rows [first_row, rows) and inner numbers [first_inner, inner_end).
  __device__ __forceinline__ Loader(const Source& source, int first_row, int rows, int first_inner, int inner_end)
      : source_(source), scale_(source.scale()), line_((kAlong ? first_row : first_inner) + int(threadIdx.x) / Shared::kLinePieces),
        position_((kAlong ? first_inner : first_row) + int(threadIdx.x) % Shared::kLinePieces * 8),
        lines_(kAlong ? rows : inner_end), width_(kAlong ? inner_end : rows) {}

  // One step after the other.
  __device__ __forceinline__ void begin(uint4* tile) {
#pragma unroll
    for (int i = 0; i < kPieces; i++) {
      if constexpr (Source::kCopied) copy_async_16(tile + place(i), address(i), inside(i));
      else if (inside(i)) held_[i] = *reinterpret_cast<const uint4*>(address(i));
    }
    if constexpr (Source::kCopied) advance();
  }
  __device__ __forceinline__ void finish(uint4* tile) {
    if constexpr (!Source::kCopied) {
#pragma unroll
      for (int i = 0; i < kPieces; i++) tile[place(i)] = inside(i) ? source_.operand(held_[i], line(i), position_, scale_) : make_uint4(0, 0, 0, 0);
      advance();
    }
  }

 private:
  __device__ __forceinline__ int line(int i) const { return line_ + i * kLinesApart; }
  __device__ __forceinline__ bool inside(int i) const { return line(i) < lines_ && position_ < width_; }
  __device__ __forceinline__ const bf16* address(int i) const { return source_.data + int64_t(line(i)) * source_.stride + position_; }
  __device__ __forceinline__ static int place(int i) { return Shared::place(int(threadIdx.x) / Shared::kLinePieces + i * kLinesApart, int(threadIdx.x) % Shared::kLinePieces); }
  __device__ __forceinline__ void advance() { (kAlong ? position_ : line_) += kStep; }

  const Source source_;
  const float scale_;
  int line_, position_;
  const int lines_, width_;
  uint4 held_[kPieces];
};

// 2^exponent as two factors, either of them a normal float32, so that nothing overflows or vanishes before the result does.
class PowerOfTwo {
 public:
  __device__ __forceinline__ explicit PowerOfTwo(int exponent) {
    const int first = exponent < -126 ? -126 : exponent > 127 ? 127 : exponent;
    first_ = bits_float(uint32_t(127 + first) << 23), second_ = bits_float(uint32_t(127 + exponent - first) << 23);
  }
  __device__ __forceinline__ float times(float v) const { return v * first_ * second_; }

 private:
  float first_, second_;
};

// Transposes a 4 x 4 matrix whose row l is held by lane l of a group of four lanes.
__device__ __forceinline__ void transpose_of_four_lanes(float (&v)[4]) {
#pragma unroll
  for (int distance = 1; distance < 4; distance *= 2) {
    const bool upper = threadIdx.x & distance;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (i & distance) continue;
      float &a = v[i], &b = v[i + distance];
      const float other = __shfl_xor_sync(kFullWarp, upper ? a : b, distance);
      (upper ? a : b) = other;
    }
  }
}

template <Level kLevel>
constexpr int kStages = kLevel == Level::sm75 ? 2 : 3;

template <Level kLevel, int kSide>
constexpr size_t kGemmShared = size_t(kStages<kLevel>) * 2 * kSide * kStep * sizeof(bf16);

// Two blocks hide each other's barriers, so a thread may have 128 registers. sm75's code on a newer device only checks its numerics.
template <Level kLevel>
constexpr int kBlocksAtOnce = kLevel == Level::sm75 && GT_ARCH > 750 ? 1 : 2;

// Whether blockIdx.x counts tiles of rows, and y those of columns, or the other way round. The smaller number runs first, so that the
// longer factor is read from memory once.
template <int kSide>
__host__ __device__ constexpr bool rows_run_first(int rows, int cols) { return divide_up(rows, kSide) <= divide_up(cols, kSide); }

// blockIdx.x, y: tile; z: chunk of the inner dimension, each with its own [rows, cols] of `out`. `chunk` is a multiple of kStep.
template <Level kLevel, int kSide, Lines kALines, Lines kBLines, bool kAdd, class A, class B, class Out>
__global__ void __launch_bounds__(2 * kSide, kBlocksAtOnce<kLevel>) gemm_kernel(A a, B b, Out* out, int rows, int cols, int inner, int chunk) {
  GT_KERNEL_OF(kLevel);
  constexpr int kThreads = 2 * kSide, kAhead = kStages<kLevel> - 1;
  constexpr bool kAsync = A::kCopied || B::kCopied;
  using TileA = Tile<kALines, kSide>;
  using TileB = Tile<kBLines, kSide>;

  const bool rows_first = rows_run_first<kSide>(rows, cols);
  const int row0 = int(rows_first ? blockIdx.x : blockIdx.y) * kSide, col0 = int(rows_first ? blockIdx.y : blockIdx.x) * kSide;
  const int inner_begin = int(blockIdx.z) * chunk, inner_end = min(inner, inner_begin + chunk);
  const int steps = divide_up(inner_end - inner_begin, kStep);

  uint4* shared = dynamic_shared<uint4>();
  auto tile_a = [&](int step) { return shared + step % kStages<kLevel> * (TileA::kPieces + TileB::kPieces); };
  auto tile_b = [&](int step) { return tile_a(step) + TileA::kPieces; };
  Loader<A, kALines, kSide, kThreads> loader_a(a, row0, rows, inner_begin, inner_end);
  Loader<B, kBLines, kSide, kThreads> loader_b(b, col0, cols, inner_begin, inner_end);

  constexpr int kRowPatches = kSide / 32;
  const int warp = int(threadIdx.x) / 32, warp_row = warp % 2 * (kSide / 2), warp_col = warp / 2 * 32;
  float sums[kRowPatches][4][4] = {};
  auto multiply = [&](int step, int k) {
    uint32_t b_patch[2][4];
#pragma unroll
    for (int j = 0; j < 2; j++) TileB::patch(b_patch[j], tile_b(step), warp_col + 16 * j, k);
#pragma unroll
    for (int i = 0; i < kRowPatches; i++) {
      uint32_t a_patch[4];
      TileA::patch(a_patch, tile_a(step), warp_row + 16 * i, k);
#pragma unroll
      for (int j = 0; j < 2; j++) {
        Format<kLevel>::mma(sums[i][2 * j], a_patch, b_patch[j][0], b_patch[j][2]);
        Format<kLevel>::mma(sums[i][2 * j + 1], a_patch, b_patch[j][1], b_patch[j][3]);
      }
    }
  };

  // While a step is multiplied, a later one is fetched: A's tile behind the first half of the products, B's behind the second, which
  // takes half the registers of fetching both at once.
  auto fetch_a = [&](int step) { if (step < steps) loader_a.begin(tile_a(step)); };
  auto fetch_b = [&](int step) { if (step < steps) loader_a.finish(tile_a(step)), loader_b.begin(tile_b(step)); };
  auto fetched = [&](int step) {
    if (step < steps) loader_b.finish(tile_b(step));
    if constexpr (kAsync) copy_async_commit();
  };
#pragma unroll
  for (int step = 0; step < kAhead; step++) fetch_a(step), fetch_b(step), fetched(step);
  for (int step = 0; step < steps; step++) {
    if constexpr (kAsync) copy_async_wait<kAhead - 1>();
    __syncthreads();  // this step's tiles are complete, those of the step before are free
    fetch_a(step + kAhead);
    multiply(step, 0);
    fetch_b(step + kAhead);
    multiply(step, 16);
    fetched(step + kAhead);
  }

  // Four lanes that share a row trade their pairs of columns, so that each stores eight neighbours.
  const PowerOfTwo unscale(a.unscale() + b.unscale());
  const int lane = int(threadIdx.x) & 31, col = col0 + warp_col + lane % 4 * 8;
  out += int64_t(blockIdx.z) * rows * cols;
#pragma unroll
  for (int i = 0; i < kRowPatches; i++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float even[4], odd[4], v[8];
#pragma unroll
      for (int j = 0; j < 4; j++) even[j] = sums[i][j][2 * half], odd[j] = sums[i][j][2 * half + 1];
      transpose_of_four_lanes(even), transpose_of_four_lanes(odd);
      const int row = row0 + warp_row + 16 * i + 8 * half + lane / 4;
      if (row >= rows || col >= cols) continue;
      Out* to = out + int64_t(row) * cols + col;
      float old[8] = {};
      if constexpr (kAdd) load_8(old, to);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        v[2 * j] = even[j], v[2 * j + 1] = odd[j];
        if constexpr (Format<kLevel>::kScaled) v[2 * j] = unscale.times(even[j]), v[2 * j + 1] = unscale.times(odd[j]);
        if constexpr (kAdd) v[2 * j] += old[2 * j], v[2 * j + 1] += old[2 * j + 1];
      }
      store_8(to, v);
    }
}

// out [rows, cols] (+)= A · Bᵀ. With chunk < inner, out is [divide_up(inner, chunk)][rows, cols]: parts for sum_parts.
template <Level kLevel, Lines kALines, Lines kBLines, bool kAdd, class A, class B, class Out>
void launch_gemm(Context& context, const A& a, const B& b, Out* out, int64_t rows, int64_t cols, int64_t inner, int64_t chunk) {
  const int64_t chunks = chunk < inner ? divide_up(inner, chunk) : 1;
  auto run = [&](auto side) {
    constexpr int kSide = decltype(side)::value;
    const int64_t row_tiles = divide_up<int64_t>(rows, kSide), col_tiles = divide_up<int64_t>(cols, kSide);
    const bool rows_first = rows_run_first<kSide>(int(rows), int(cols));
    launch(context, dim3(unsigned(rows_first ? row_tiles : col_tiles), unsigned(rows_first ? col_tiles : row_tiles), unsigned(chunks)), 2 * kSide, kGemmShared<kLevel, kSide>,
           gemm_kernel<kLevel, kSide, kALines, kBLines, kAdd, A, B, Out>, a, b, out, rows, cols, inner, chunk);
  };
  // Large tiles move half as many bytes for a product, once there are enough of them to keep every multiprocessor busy.
  if (divide_up<int64_t>(rows, 128) * divide_up<int64_t>(cols, 128) * chunks >= context.description.multiprocessors) run(std::integral_constant<int, 128>{});
  else run(std::integral_constant<int, 64>{});
}

constexpr int kSumThreads = 256;

// out (+)= the sum of `parts` pieces of `count` numbers, in their order; count is a multiple of 8.
template <bool kAdd, class Out>
static __global__ void __launch_bounds__(kSumThreads) sum_parts_kernel(Out* out, const float* part, int64_t count, int parts) {
  const int64_t i = (int64_t(blockIdx.x) * kSumThreads + threadIdx.x) * 8;
  if (i >= count) return;
  float sum[8], v[8];
  load_8(sum, part + i);
  for (int p = 1; p < parts; p++) {
    load_8(v, part + p * count + i);
#pragma unroll
    for (int j = 0; j < 8; j++) sum[j] += v[j];
  }
  if constexpr (kAdd) {
    load_8(v, out + i);
#pragma unroll
    for (int j = 0; j < 8; j++) sum[j] += v[j];
  }
  store_8(out + i, sum);
}

template <bool kAdd, class Out>
void sum_parts(Context& context, Out* out, const float* part, int64_t count, int64_t parts) {
  launch(context, unsigned(divide_up<int64_t>(count, 8 * kSumThreads)), kSumThreads, 0, sum_parts_kernel<kAdd, Out>, out, part, count, parts);
}

}  // namespace gt::GT_GPU
