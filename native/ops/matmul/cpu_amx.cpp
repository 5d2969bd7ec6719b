// CPU backend of matmul for bfloat16 factors on AMX: tdpbf16ps multiplies a 16 x 32 tile with a 32 x 16 tile.
//
// A tile register is 16 rows of 64 bytes. Left factor: row r holds 32 consecutive k of row r (packed along). Right factor: row p
// holds the pair (2p, 2p + 1) of 16 columns (packed across). Sums: 16 x 16 float32. Registers 0-3 hold 2 x 2 tiles of sums,
// 4-5 the left factor, 6-7 the right one.
#include <immintrin.h>

#include "ops/matmul/blocked.h"

namespace gt::cpu {
namespace {

constexpr int64_t kTile = 16 * kPanel;  // units in a tile register

struct AmxKernel {
  // 32 rows of tile_inner stay in L1.
  static constexpr Family kFamily{.row_panels = 2, .col_panels = 2, .per_unit = Pairs::kPerUnit, .unit_step = 16, .tile_inner = 640};

  struct State {
    State() {
      struct {
        uint8_t palette = 1, start_row = 0, reserved[14] = {};
        uint16_t row_bytes[16] = {};
        uint8_t rows[16] = {};
      } config;
      for (int i = 0; i < 8; i++) config.row_bytes[i] = 64, config.rows[i] = 16;
      asm volatile("" ::"r"(&config) : "memory");  // GCC's intrinsics do not tell the compiler what memory they read
      _tile_loadconfig(&config);
    }
    ~State() { _tile_release(); }
  };

  static void pack_rows(uint32_t* to, const Factor& f, int64_t row, int64_t rows, int64_t k, int64_t inner, int64_t units) {
    pack_along<Pairs>(to, f, row, rows, k, inner, units);
  }
  static void pack_cols(uint32_t* to, const Factor& f, int64_t row, int64_t rows, int64_t k, int64_t inner, int64_t units) {
    pack_across<Pairs>(to, f, row, rows, k, inner, units);
  }

  // One factor is read again by the next tile; the other one is loaded with the hint to keep it out of L1.
  template <bool kReuseB, class Sink>
  GT_INLINE void full_tile(const Panels& p, const Sink& sink) {
    const uint32_t *const a0 = p.a, *const a1 = p.a + p.stride, *const b0 = p.b, *const b1 = p.b + p.stride;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t u = 0; u < p.units * kPanel; u += kTile) {
      if constexpr (kReuseB) {
        _tile_loadd(6, b0 + u, 64);
        _tile_stream_loadd(4, a0 + u, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b1 + u, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_stream_loadd(5, a1 + u, 64);
      } else {
        _tile_stream_loadd(6, b0 + u, 64);
        _tile_loadd(4, a0 + u, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_stream_loadd(7, b1 + u, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a1 + u, 64);
      }
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    // Through two kilobytes, twice: a larger buffer would share all address bits 6-11 with the loads of the next tile, which the
    // processor would then hold back (4K aliasing). Whole rows of the tile: a cache line of the result is written once.
    alignas(64) float sums[2][kTile];
    const auto put = [&](int64_t first_row) {
      asm volatile("" ::"r"(sums) : "memory");
      for (int64_t r = 0; r < kPanel; r++) {
        sink.put_whole(first_row + r, 0, load16(sums[0] + r * kPanel));
        sink.put_whole(first_row + r, kPanel, load16(sums[1] + r * kPanel));
      }
    };
    _tile_stored(0, sums[0], 64);
    _tile_stored(1, sums[1], 64);
    put(0);
    _tile_stored(2, sums[0], 64);
    _tile_stored(3, sums[1], 64);
    put(kPanel);
  }

  // Panel `row_panel` of the left factor times panel `col_panel` of the right one, where the tile has an edge.
  template <class Sink>
  static void edge_tile(const Panels& p, int64_t row_panel, int64_t col_panel, const Sink& sink) {
    _tile_zero(0);
    for (int64_t u = 0; u < p.units * kPanel; u += kTile) {
      _tile_loadd(4, p.a + row_panel * p.stride + u, 64);
      _tile_loadd(6, p.b + col_panel * p.stride + u, 64);
      _tile_dpbf16ps(0, 4, 6);
    }
    alignas(64) float sums[kTile];
    _tile_stored(0, sums, 64);
    const int64_t rows = std::min(kPanel, sink.rows - row_panel * kPanel);
    for (int64_t r = 0; r < rows; r++) sink.put(row_panel * kPanel + r, col_panel, load16(sums + r * kPanel));
  }

  template <class Sink>
  static void tile(const Panels& p, const Sink& sink) {
    for (int64_t r = 0; r < sink.rows; r++) sink.prefetch(r);
    asm volatile("" ::"r"(p.a), "r"(p.b) : "memory");
    if (sink.rows == 2 * kPanel && sink.cols == 2 * kPanel) return p.reuse_b ? full_tile<true>(p, sink) : full_tile<false>(p, sink);
    for (int64_t r = 0; r * kPanel < sink.rows; r++)
      for (int64_t c = 0; c * kPanel < sink.cols; c++) edge_tile(p, r, c, sink);
  }
};

}  // namespace

extern const Matmul matmul_amx;
const Matmul matmul_amx = {AmxKernel::kFamily, run<AmxKernel>};

}  // namespace gt::cpu
