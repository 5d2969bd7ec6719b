// The addon's entry: a table of names.
#include <napi.h>

#include "api/gemmatune.h"
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

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["Model"] = bind::Model::define(env);
  exports["info"] = Napi::Function::New(env, info);
  return exports;
}

NODE_API_MODULE(gemmatune_native, init)
