#include "model/values.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/mix64.h"
#include "ops/adamw/adamw.h"

namespace gt {
namespace {

constexpr int64_t kPiece = 1 << 18;  // elements of a task

// Of those, converted at a time: on the host they stay in the nearest cache, to a GPU few copies go faster than many.
int64_t block_of(const Device& device) { return device.on_host() ? 1 << 13 : kPiece; }

float half_to_float(uint16_t h) {
  const float sign = h & 0x8000 ? -1.f : 1.f;
  const int exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 31) return mantissa ? std::nanf("") : sign * INFINITY;
  return sign * (exponent ? std::ldexp(float(1024 + mantissa), exponent - 25) : std::ldexp(float(mantissa), -24));
}

// The bytes at `p`: themselves on the host, else a copy in `room`.
const void* host_view(Device& device, const void* p, int64_t bytes, std::vector<char>& room) {
  if (device.on_host()) return p;
  room.resize(size_t(bytes));
  device.copy_to_host(room.data(), p, size_t(bytes));
  return room.data();
}

void get(Device& device, const Values& v, int64_t at, int64_t n, float* out) {
  if (v.arena.dtype == DType::f32) return device.copy_to_host(out, v.arena.as<float>() + at, size_t(n) * 4);
  std::vector<char> high_room, low_room;
  const bf16* high = static_cast<const bf16*>(host_view(device, v.arena.as<bf16>() + at, n * 2, high_room));
  const int16_t* low = v.remainders ? static_cast<const int16_t*>(host_view(device, v.remainders.as<int16_t>() + at, n * 2, low_room)) : nullptr;
  for (int64_t i = 0; i < n; i++) out[i] = low ? join_master(high[i], low[i]) : to_float(high[i]);
}

void put(Device& device, const Values& v, int64_t at, int64_t n, const float* in) {
  if (v.arena.dtype == DType::f32) return device.copy_from_host(v.arena.as<float>() + at, in, size_t(n) * 4);
  std::vector<bf16> high(static_cast<size_t>(n));
  std::vector<int16_t> low(high.size());
  for (int64_t i = 0; i < n; i++) split_master(in[i], &high[size_t(i)], &low[size_t(i)]);
  device.copy_from_host(v.arena.as<bf16>() + at, high.data(), high.size() * 2);
  if (v.remainders) device.copy_from_host(v.remainders.as<int16_t>() + at, low.data(), low.size() * 2);
}

void widen(FileType type, const uint8_t* data, int64_t n, float* out) {
  if (type == FileType::f32) {
    std::memcpy(out, data, size_t(n) * 4);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    uint16_t bits;
    std::memcpy(&bits, data + 2 * i, 2);
    out[i] = type == FileType::bf16 ? to_float(bf16{bits}) : half_to_float(bits);
  }
}

// Whether all are finite, in a loop that compilers vectorise: an exponent of all ones is what infinities and NaN have.
bool all_finite(const float* x, int64_t n) {
  uint32_t any = 0;
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    std::memcpy(&bits, &x[i], 4);
    any |= (bits & 0x7f800000u) == 0x7f800000u;
  }
  return !any;
}

// body(begin, end) over pieces of [0, count): side by side on the CPU, one after the other through a GPU's only stream.
template <class Body>
void for_each_piece(Device& device, int64_t count, const Body& body) {
  if (device.on_host()) return device.threads().ranges(count, kPiece, body);
  for (int64_t b = 0; b < count; b += kPiece) body(b, std::min(count, b + kPiece));
}

double normal(uint64_t seed, uint64_t index) {
  const uint64_t a = mix64(mix64(seed) + (2 * index + 1) * 0x9e3779b97f4a7c15ull), b = mix64(a + 0x9e3779b97f4a7c15ull);
  const double u = (double(a >> 11) + 0.5) * 0x1p-53, v = double(b >> 11) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
}

}  // namespace

int64_t size_of(FileType type) { return type == FileType::f32 ? 4 : 2; }

void read_values(Device& device, const Values& values, const Parameter& p, float* out) {
  for_each_piece(device, p.count, [&](int64_t b, int64_t e) { get(device, values, p.offset + b, e - b, out + b); });
}

void load_values(Device& device, const Values& values, const Parameter& p, const MappedFile& file, int64_t offset, FileType type) {
  const uint8_t* data = file.range(offset, p.count * size_of(type));
  for_each_piece(device, p.count, [&](int64_t begin, int64_t end) {
    std::vector<float> block(static_cast<size_t>(block_of(device)));
    for (int64_t b = begin; b < end; b += int64_t(block.size())) {
      const int64_t n = std::min(int64_t(block.size()), end - b);
      widen(type, data + b * size_of(type), n, block.data());
      if (!all_finite(block.data(), n)) {
        const auto bad = std::find_if_not(block.begin(), block.begin() + n, [](float x) { return std::isfinite(x); });
        throw Error(Code::kFile, text(file.path(), ": ", p.name, " has a value that is not finite (", *bad, ") at element ", b + (bad - block.begin())));
      }
      put(device, values, p.offset + b, n, block.data());
    }
    file.done_with(offset + begin * size_of(type), (end - begin) * size_of(type));
  });
}

void write_values(Device& device, const Values& values, const Parameter& p, DType as, AtomicFile& file) {
  if (as == values.arena.dtype && device.on_host()) return file.write(static_cast<char*>(values.arena.data) + p.offset * size_of(as), p.count * size_of(as));
  std::vector<float> piece(static_cast<size_t>(std::min(p.count, kPiece)));
  std::vector<bf16> rounded(piece.size());
  for (int64_t b = 0; b < p.count; b += kPiece) {
    const int64_t n = std::min(kPiece, p.count - b);
    if (as == values.arena.dtype) {
      std::vector<char> room;
      file.write(host_view(device, static_cast<char*>(values.arena.data) + (p.offset + b) * size_of(as), n * size_of(as), room), n * size_of(as));
      continue;
    }
    get(device, values, p.offset + b, n, piece.data());
    if (as == DType::f32) {
      file.write(piece.data(), n * 4);
    } else {
      std::transform(piece.begin(), piece.begin() + n, rounded.begin(), [](float x) { return to_bf16(x); });
      file.write(rounded.data(), n * 2);
    }
  }
}

void initialize_values(Device& device, const Values& values, const ParameterTable& table, uint64_t seed, double std) {
  for (const Parameter& p : table.rows()) {
    for_each_piece(device, p.count, [&](int64_t begin, int64_t end) {
      std::vector<float> block(static_cast<size_t>(end - begin));
      if (p.decay)
        for (int64_t i = begin; i < end; i++) block[size_t(i - begin)] = float(std * normal(seed, uint64_t(p.offset + i)));
      put(device, values, p.offset + begin, end - begin, block.data());
    });
  }
}

}  // namespace gt
