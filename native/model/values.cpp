#include "model/values.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops/adamw/adamw.h"

namespace gt {
namespace {

constexpr int64_t kPiece = 1 << 18;  // elements converted at a time, one task each

float half_to_float(uint16_t h) {
  const float sign = h & 0x8000 ? -1.f : 1.f;
  const int exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 31) return mantissa ? std::nanf("") : sign * INFINITY;
  return sign * (exponent ? std::ldexp(float(1024 + mantissa), exponent - 25) : std::ldexp(float(mantissa), -24));
}

void get(const Values& v, int64_t at, int64_t n, float* out) {
  if (v.arena.dtype == DType::f32) {
    std::memcpy(out, v.arena.as<float>() + at, size_t(n) * 4);
    return;
  }
  const bf16* high = v.arena.as<bf16>() + at;
  const int16_t* low = v.remainders ? v.remainders.as<int16_t>() + at : nullptr;
  for (int64_t i = 0; i < n; i++) out[i] = low ? join_master(high[i], low[i]) : to_float(high[i]);
}

void put(const Values& v, int64_t at, int64_t n, const float* in) {
  if (v.arena.dtype == DType::f32) {
    std::memcpy(v.arena.as<float>() + at, in, size_t(n) * 4);
    return;
  }
  bf16* high = v.arena.as<bf16>() + at;
  int16_t* low = v.remainders ? v.remainders.as<int16_t>() + at : nullptr;
  for (int64_t i = 0; i < n; i++) {
    int16_t rest;
    split_master(in[i], &high[i], low ? &low[i] : &rest);
  }
}

// Arenas on other devices will pass through a host copy here.
void require_host(const Device& device) { require(device.kind == DeviceKind::cpu, Code::kDevice, "values of device ", name_of(device.kind), " cannot be read yet"); }

uint64_t mix(uint64_t z) {  // splitmix64's finaliser
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

double normal(uint64_t seed, uint64_t index) {
  const uint64_t a = mix(mix(seed) + (2 * index + 1) * 0x9e3779b97f4a7c15ull), b = mix(a + 0x9e3779b97f4a7c15ull);
  const double u = (double(a >> 11) + 0.5) * 0x1p-53, v = double(b >> 11) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
}

}  // namespace

int64_t size_of(FileType type) { return type == FileType::f32 ? 4 : 2; }

void read_values(Device& device, const Values& values, const Parameter& p, float* out) {
  require_host(device);
  device.threads().ranges(p.count, kPiece, [&](int64_t b, int64_t e) { get(values, p.offset + b, e - b, out + b); });
}

void load_values(Device& device, const Values& values, const Parameter& p, const MappedFile& file, int64_t offset, FileType type) {
  require_host(device);
  const uint8_t* data = file.range(offset, p.count * size_of(type));
  device.threads().ranges(p.count, kPiece, [&](int64_t b, int64_t e) {
    std::vector<float> piece(size_t(e - b));
    if (type == FileType::f32) std::memcpy(piece.data(), data + b * 4, piece.size() * 4);
    for (int64_t i = b; i < e; i++) {
      float& x = piece[size_t(i - b)];
      uint16_t bits;
      if (type != FileType::f32) {
        std::memcpy(&bits, data + i * 2, 2);
        x = type == FileType::bf16 ? to_float(bf16{bits}) : half_to_float(bits);
      }
      require(std::isfinite(x), Code::kFile, file.path(), ": ", p.name, " has a value that is not finite (", x, ") at element ", i);
    }
    put(values, p.offset + b, e - b, piece.data());
    file.done_with(offset + b * size_of(type), (e - b) * size_of(type));
  });
}

void write_values(Device& device, const Values& values, const Parameter& p, DType as, AtomicFile& file) {
  require_host(device);
  if (as == values.arena.dtype && as == DType::bf16) return file.write(values.arena.as<bf16>() + p.offset, p.count * 2);
  if (as == values.arena.dtype) return file.write(values.arena.as<float>() + p.offset, p.count * 4);
  std::vector<float> piece(static_cast<size_t>(std::min(p.count, kPiece)));
  std::vector<bf16> rounded(piece.size());
  for (int64_t b = 0; b < p.count; b += kPiece) {
    const int64_t n = std::min(kPiece, p.count - b);
    get(values, p.offset + b, n, piece.data());
    if (as == DType::f32) {
      file.write(piece.data(), n * 4);
    } else {
      std::transform(piece.begin(), piece.begin() + n, rounded.begin(), [](float x) { return to_bf16(x); });
      file.write(rounded.data(), n * 2);
    }
  }
}

void initialize_values(Device& device, const Values& values, const ParameterTable& table, uint64_t seed, double std) {
  require_host(device);
  for (const Parameter& p : table.rows()) {
    device.threads().ranges(p.count, kPiece, [&](int64_t b, int64_t e) {
      std::vector<float> piece(size_t(e - b));
      if (p.decay)
        for (int64_t i = b; i < e; i++) piece[size_t(i - b)] = float(std * normal(seed, uint64_t(p.offset + i)));
      put(values, p.offset + b, e - b, piece.data());
    });
  }
}

}  // namespace gt
