// What the attention kernels are made of: rows inside the packed tensors, and tiles of them in shared memory. Part of cuda.cu.
//
// The G = H / K query heads that share a kv head are rows of one matrix: query row r of a sequence is position r / G, head r % G of
// the group. So keys and values are loaded once for all of them, and their gradients need no sum over heads.
#pragma once
#include "gpu/containers.h"
#include "gpu/mma.h"

namespace gt::GT_GPU {
namespace {

struct Shape {
  int H, K, D, G;
  int span;  // tokens that a query sees at most: the window, or T
  float scale;
};

// What one block of threads owns: query rows or keys from `first` on, counted from the start of one sequence, of one kv head.
struct Owned { int start, length, head, first; };

struct Range { int begin, end; };

// Keys that query rows [first, first + count) see, and query rows that see keys [first, first + count): all but those that no mask
// lets through.
__host__ __device__ inline Range keys_seen_by(const Shape& s, const Owned& o, int count) {
  const int rows = o.length * s.G, last = (o.first + count < rows ? o.first + count : rows) - 1;
  const int begin = o.first / s.G - s.span + 1;
  return {begin > 0 ? begin : 0, last / s.G + 1};
}
__host__ __device__ inline Range rows_that_see(const Shape& s, const Owned& o, int count) {
  const int end = (o.first + count < o.length ? o.first + count : o.length) - 1 + s.span;
  return {o.first * s.G, (end < o.length ? end : o.length) * s.G};
}

// The rows of a sequence and kv head inside a tensor, D numbers each: `group` of them are neighbours, then comes a gap of other heads.
template <class T>
struct Rows {
  T* data;
  int stride;  // from row to row within a group
  int group;
  int gap;  // added between groups
  __device__ T* operator[](int r) const { return data + int64_t(r) * stride + (gap ? int64_t(r / group) * gap : 0); }
};
// x [T, H, D], or [T, H] with D = 1
template <class T>
__device__ Rows<T> query_rows(T* x, const Shape& s, const Owned& o, int D) {
  return {x + (int64_t(o.start) * s.H + o.head * s.G) * D, D, s.G, (s.H - s.G) * D};
}
// x [T, heads, D], of which `head` is one
template <class T>
__device__ Rows<T> rows_of_head(T* x, const Owned& o, int heads, int head, int D) {
  return {x + (int64_t(o.start) * heads + head) * D, heads * D, 1, 0};
}
template <class T>
__device__ Rows<T> keys(T* k, const Shape& s, const Owned& o) { return rows_of_head(k, o, s.K, o.head, s.D); }
template <class T>
__device__ Rows<T> values(T* qkv, const Shape& s, const Owned& o) { return rows_of_head(qkv, o, s.H + 2 * s.K, s.H + s.K + o.head, s.D); }

// A tile is [rows, kD] of 16-bit numbers, kD >= 64. Its pieces of 16 bytes are permuted within each row, so that the same piece of eight
// rows, which is what ldmatrix reads at a time, lies in different banks.
template <int kD>
__device__ __forceinline__ uint16_t* piece(uint16_t* tile, int row, int c) {
  // Spelled so that neighbouring c share few addresses in registers.
  return tile + row * kD + (c & ~7) * 8 + ((c & 7) ^ (row & 7)) * 8;
}

// The same for a tile of 32 columns: two rows fill all banks.
__device__ __forceinline__ uint16_t* narrow_piece(uint16_t* tile, int row, int c) { return tile + row * 32 + (c ^ (row >> 1 & 3)) * 8; }

// Rows on their way from a bfloat16 tensor to a tile in the level's operand format, by a block of kThreads. Between issue() and land()
// the block computes: on sm75 the numbers wait in registers, on sm80 cp.async brings them. Before issue() nothing reads the tile any more
// (on sm75: before land()); after land() a barrier makes it visible.
template <Level kLevel, int kRows, int kD, int kThreads>
class TileLoad {
  static constexpr bool kScaled = Format<kLevel>::kScaled;
  static constexpr int kRowPieces = kD / 8, kPassRows = kThreads / kRowPieces, kPasses = kRows / kPassRows;
  static_assert(kThreads % kRowPieces == 0 && kRows % kPassRows == 0, "every thread moves the same number of pieces, of one column");
  uint4 held_[kScaled ? kPasses : 1];

  // The remainder tells the compiler how small the row is: then the passes share addresses.
  __device__ static int first_row() { return int(threadIdx.x) / kRowPieces % kPassRows; }
  __device__ static int column() { return int(threadIdx.x) % kRowPieces; }

 public:
  // Rows [first, first + kRows), first < end; from row `end` on the last one again, which masks keep out; zeros from column D on.
  __device__ __forceinline__ void issue(uint16_t* tile, const Rows<const bf16>& rows, int first, int end, int D) {
    const int row = first_row(), c = column();
    const bool inside = c * 8 < D;
    if constexpr (kScaled) {
#pragma unroll
      for (int i = 0; i < kPasses; i++) held_[i] = uint4{0, 0, 0, 0};
      if (!inside) return;
    }
#pragma unroll
    for (int i = 0; i < kPasses; i++) {
      const int r = row + i * kPassRows;
      const bf16* from = rows[first + r < end ? first + r : end - 1] + (inside ? c * 8 : 0);
      if constexpr (kScaled) held_[i] = *reinterpret_cast<const uint4*>(from);
      else copy_async_16(piece<kD>(tile, r, c), from, inside);
    }
    if constexpr (!kScaled) copy_async_commit();
  }
  __device__ __forceinline__ void land(uint16_t* tile, float scale) {
    if constexpr (kScaled) {
      const int row = first_row(), c = column();
#pragma unroll
      for (int i = 0; i < kPasses; i++) {
        *reinterpret_cast<uint4*>(piece<kD>(tile, row + i * kPassRows, c)) = Format<kLevel>::from_bf16(held_[i], scale);
        __syncwarp();  // nothing to wait for: the compiler would else convert all passes at once, in more registers than there are
      }
    } else {
      copy_async_wait<0>();
    }
  }
};

// Rows [first, min(first + count, end)) = those of a bfloat16 tile from `tile_row` on, by `threads` threads of which this is `thread`.
template <int kD>
__device__ __forceinline__ void store_tile(const Rows<bf16>& rows, int first, int count, int end, int D, uint16_t* tile, int tile_row, int thread, int threads) {
  for (int p = thread; p < count * (kD / 8); p += threads) {
    const int r = p / (kD / 8), c = p % (kD / 8);
    if (first + r < end && c * 8 < D) *reinterpret_cast<uint4*>(rows[first + r] + c * 8) = *reinterpret_cast<const uint4*>(piece<kD>(tile, tile_row + r, c));
  }
}

// Which operands have a slot of their largest magnitude (gpu/containers.h); on sm80 there are no slots.
enum Operand { kQ, kK, kV, kDout, kOperands };
template <Level kLevel>
__device__ __forceinline__ float scale_of(const uint32_t* amax, Operand x) {
  if constexpr (Format<kLevel>::kScaled) return container_scale(amax[x]);
  else return 1.f;
}
template <Level kLevel>
__device__ __forceinline__ float unscale_of(const uint32_t* amax, Operand x) {
  if constexpr (Format<kLevel>::kScaled) return container_unscale(amax[x]);
  else return 1.f;
}

// Probabilities become operands as p · 2^kProbabilityExponent. As fp16 that keeps them above its smallest normal number down to 2^-29; p may reach
// 2 (it is at most 1 but for the rounding of scores) before it overflows.
template <Level kLevel>
constexpr int kProbabilityExponent = Format<kLevel>::kScaled ? 15 : 0;

}  // namespace
}  // namespace gt::GT_GPU
