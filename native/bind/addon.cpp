// The addon's entry: a table of names.
#include <napi.h>

#include <string>

#include "api/gemmatune.h"
#include "bind/marshal.h"
#include "bind/model.h"

static Napi::Value info(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  gt_info i{};
  gt_get_info(&i);
  Napi::Object o = Napi::Object::New(env);
  Napi::Array backends = Napi::Array::New(env);
  backends[0u] = "cpu";
  if (i.has_cuda) backends[backends.Length()] = "cuda";
  if (i.has_emulated) backends[backends.Length()] = "emulated";
  o["instructionSet"] = i.instruction_set;
  o["cores"] = i.cores;
  o["fastBfloat16"] = bool(i.fast_bfloat16);
  o["backends"] = backends;
  return o;
}

// The devices of a kind that can be used, each with its index; `problem` says what is wrong with the first that cannot, or why there is none.
static Napi::Value devices(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  const gt_device kind = bind::device(call[0]);
  if (kind == GT_CPU) bind::misuse(env, "device is 'cpu', expected cuda or emulated; info() tells about the cpu");
  Napi::Array found = Napi::Array::New(env);
  std::string problem;
  // Whether it is to go on; other failures than that of a device are thrown.
  auto ok = [&](gt_status status) {
    if (status == GT_DEVICE && problem.empty()) problem = gt_last_error();
    if (status != GT_OK && status != GT_DEVICE) throw bind::error_of(env, bind::code_of(status), gt_last_error());
    return status == GT_OK;
  };
  int32_t count = 0;
  ok(gt_device_count(kind, &count));
  for (int32_t index = 0; index < count; index++) {
    gt_device_description d{};
    if (!ok(gt_device_info(kind, index, &d))) continue;
    Napi::Object o = Napi::Object::New(env);
    o["index"] = index;
    o["name"] = d.name;
    o["capability"] = d.capability;
    o["path"] = d.path;
    o["multiprocessors"] = d.multiprocessors;
    o["memory"] = double(d.memory);
    o["free"] = double(d.free);
    o["driver"] = d.driver;
    o["runtime"] = d.runtime;
    found[found.Length()] = o;
  }
  Napi::Object result = Napi::Object::New(env);
  result["devices"] = found;
  result["problem"] = problem.empty() ? env.Null() : Napi::Value(Napi::String::New(env, problem));
  return result;
}

// How many devices of a kind there are, without opening one; 0 for whatever reason.
static Napi::Value device_count(const Napi::CallbackInfo& call) {
  int32_t count = 0;
  const gt_device kind = bind::device(call[0]);
  if (kind == GT_CPU) bind::misuse(call.Env(), "device is 'cpu', expected cuda or emulated");
  gt_device_count(kind, &count);
  return Napi::Number::New(call.Env(), count);
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["Group"] = bind::Group::define(env);
  exports["Model"] = bind::Model::define(env);
  exports["info"] = Napi::Function::New(env, info);
  exports["devices"] = Napi::Function::New(env, devices);
  exports["deviceCount"] = Napi::Function::New(env, device_count);
  return exports;
}

NODE_API_MODULE(gemmatune_native, init)
