// Values across the boundary. packages/engine has judged them kindly; here only what memory safety needs is checked again.
#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "bind/async.h"

namespace bind {

[[noreturn]] inline void misuse(Napi::Env env, const std::string& message) {
  Napi::TypeError e = Napi::TypeError::New(env, message);
  e.Set("code", Napi::String::New(env, "ERR_GEMMATUNE_ARGUMENT"));
  throw e;
}

inline Napi::Object object(const Napi::Value& v, const char* name) {
  if (!v.IsObject()) misuse(v.Env(), std::string(name) + ": expected an object");
  return v.As<Napi::Object>();
}

inline double number(const Napi::Value& v, const char* name) {
  if (!v.IsNumber()) misuse(v.Env(), std::string(name) + ": expected a number");
  return v.As<Napi::Number>().DoubleValue();
}
inline double number(const Napi::Object& o, const char* name) { return number(o.Get(name), name); }
inline int64_t integer(const Napi::Value& v, const char* name) {
  const double d = number(v, name);
  if (!(d >= -9007199254740991.0 && d <= 9007199254740991.0) || d != double(int64_t(d))) misuse(v.Env(), std::string(name) + ": expected an integer");
  return int64_t(d);
}
inline int64_t integer(const Napi::Object& o, const char* name) { return integer(o.Get(name), name); }
inline bool boolean(const Napi::Object& o, const char* name) {
  Napi::Value v = o.Get(name);
  if (!v.IsBoolean()) misuse(o.Env(), std::string(name) + ": expected true or false");
  return v.As<Napi::Boolean>().Value();
}
inline std::string string(const Napi::Value& v, const char* name) {
  if (!v.IsString()) misuse(v.Env(), std::string(name) + ": expected a string");
  return v.As<Napi::String>().Utf8Value();
}

template <class Array, class T>
std::vector<T> copy_array(const Napi::Value& v, const char* name, const char* type, napi_typedarray_type wanted) {
  if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != wanted) misuse(v.Env(), std::string(name) + ": expected " + type);
  auto a = v.As<Array>();
  return std::vector<T>(a.Data(), a.Data() + a.ElementLength());
}
inline std::vector<int32_t> int32s(const Napi::Value& v, const char* name) { return copy_array<Napi::Int32Array, int32_t>(v, name, "an Int32Array", napi_int32_array); }
inline std::vector<uint8_t> bytes(const Napi::Value& v, const char* name) { return copy_array<Napi::Uint8Array, uint8_t>(v, name, "a Uint8Array", napi_uint8_array); }

// The index of `v` in a list of names.
inline int one_of(const Napi::Value& v, const char* name, std::initializer_list<const char*> names) {
  const std::string found = string(v, name);
  std::string all;
  int i = 0;
  for (const char* n : names) {
    if (found == n) return i;
    all += (i++ ? ", " : "") + std::string(n);
  }
  misuse(v.Env(), std::string(name) + " is '" + found + "', expected one of " + all);
}
inline gt_dtype dtype(const Napi::Value& v) { return gt_dtype(one_of(v, "dtype", {"float32", "bfloat16", "float16"})); }
inline gt_device device(const Napi::Value& v) { return gt_device(one_of(v, "device", {"cpu", "cuda", "emulated"})); }
inline gt_recompute recompute(const Napi::Value& v) { return gt_recompute(one_of(v, "recompute", {"none", "elementwise", "blocks"})); }
inline gt_part part(const Napi::Value& v) { return gt_part(one_of(v, "part", {"weight", "exp_avg", "exp_avg_sq", "gradient"})); }

// Packed sequences, copied. The core checks that starts run from 0 to T; that they do not run backwards or past the end in
// between must hold before it looks.
struct PackedBatch {
  std::vector<int32_t> tokens, targets, starts;

  gt_batch view() const { return {tokens.data(), targets.empty() ? nullptr : targets.data(), starts.data(), int64_t(tokens.size()), int64_t(starts.size()) - 1}; }

  void check(Napi::Env env) const {
    if (starts.empty()) misuse(env, "starts: expected at least one element");
    for (int32_t s : starts)
      if (s < 0 || size_t(s) > tokens.size()) misuse(env, "starts has " + std::to_string(s) + ", expected 0 to " + std::to_string(tokens.size()));
    if (!targets.empty() && targets.size() != tokens.size())
      misuse(env, "targets has " + std::to_string(targets.size()) + " elements, tokens has " + std::to_string(tokens.size()));
  }
};

inline std::shared_ptr<PackedBatch> batch(const Napi::Value& v) {
  Napi::Object o = object(v, "batch");
  auto b = std::make_shared<PackedBatch>();
  b->tokens = int32s(o.Get("tokens"), "tokens");
  b->targets = int32s(o.Get("targets"), "targets");
  b->starts = int32s(o.Get("starts"), "starts");
  if (b->targets.size() != b->tokens.size()) misuse(v.Env(), "targets has " + std::to_string(b->targets.size()) + " elements, tokens has " + std::to_string(b->tokens.size()));
  b->check(v.Env());
  return b;
}

inline Napi::Object metrics(Napi::Env env, const gt_metrics& m) {
  Napi::Object o = Napi::Object::New(env);
  o["lossSum"] = m.loss_sum;
  o["targets"] = double(m.targets);
  o["correct"] = double(m.correct);
  o["entropySum"] = m.entropy_sum;
  return o;
}

}  // namespace bind
