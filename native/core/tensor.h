// A view of numbers that somebody else owns: pointer, element type, shape. Always dense and row-major.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/bf16.h"
#include "core/error.h"

namespace gt {

enum class DType : uint8_t { f32, bf16, i32, i16, f64 };

inline int64_t size_of(DType t) { return t == DType::f64 ? 8 : t == DType::f32 || t == DType::i32 ? 4 : 2; }
inline const char* name_of(DType t) {
  switch (t) {
    case DType::f32: return "float32";
    case DType::bf16: return "bfloat16";
    case DType::i32: return "int32";
    case DType::i16: return "int16";
    case DType::f64: return "float64";
  }
  return "?";
}

template <class T> struct dtype_of;
template <> struct dtype_of<float> { static constexpr DType value = DType::f32; };
template <> struct dtype_of<bf16> { static constexpr DType value = DType::bf16; };
template <> struct dtype_of<int32_t> { static constexpr DType value = DType::i32; };
template <> struct dtype_of<double> { static constexpr DType value = DType::f64; };
template <> struct dtype_of<int16_t> { static constexpr DType value = DType::i16; };

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<int64_t, 4> shape{};

  Tensor() = default;
  Tensor(void* data, DType dtype, std::initializer_list<int64_t> dims) : data(data), dtype(dtype), rank(int(dims.size())) {
    int i = 0;
    for (int64_t d : dims) shape[i++] = d;
  }

  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= shape[i];
    return n;
  }
  int64_t bytes() const { return count() * size_of(dtype); }
  explicit operator bool() const { return data != nullptr; }

  // The elements as T; the doors have checked the dtype before a kernel asks.
  template <class T> T* as() const {
    require(dtype == dtype_of<T>::value, Code::kInternal, "tensor is ", name_of(dtype), ", read as ", name_of(dtype_of<T>::value));
    return static_cast<T*>(data);
  }

  // Rows [first, first + count) of the leading dimension.
  Tensor rows(int64_t first, int64_t count) const {
    Tensor t = *this;
    int64_t row = shape[0] ? bytes() / shape[0] : 0;
    t.data = static_cast<char*>(data) + first * row;
    t.shape[0] = count;
    return t;
  }

  // "float32 [96, 640]", for error messages.
  std::string describe() const {
    std::ostringstream out;
    out << name_of(dtype) << " [";
    for (int i = 0; i < rank; i++) out << (i ? ", " : "") << shape[i];
    out << "]";
    return out.str();
  }
};

// Host ids as a tensor, for ops that read them: [n] int32.
inline Tensor host_ids(const int32_t* ids, int64_t n) { return Tensor(const_cast<int32_t*>(ids), DType::i32, {n}); }

// Checks one operand at an op's door: require_shape("rmsnorm", "rstd", rstd, {T}).
inline void require_shape(const char* op, const char* name, const Tensor& t, std::initializer_list<int64_t> dims) {
  bool ok = t.rank == int(dims.size());
  int i = 0;
  for (int64_t d : dims) ok = ok && t.shape[i++] == d;
  if (ok) return;
  std::ostringstream want;
  const char* comma = "";
  for (int64_t d : dims) want << comma << d, comma = ", ";
  throw Error(Code::kShape, text(op, ": ", name, " is ", t.describe(), ", expected shape [", want.str(), "]"));
}

inline void require_dtype(const char* op, const char* name, const Tensor& t, std::initializer_list<DType> allowed) {
  std::string want;
  for (DType d : allowed) {
    if (t.dtype == d) return;
    want += (want.empty() ? "" : " or ") + std::string(name_of(d));
  }
  throw Error(Code::kArgument, text(op, ": ", name, " is ", t.describe(), ", expected ", want));
}

}  // namespace gt
