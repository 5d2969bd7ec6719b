#pragma once
#include <napi.h>

#include <memory>

#include "bind/group.h"

namespace bind {

struct ModelHandle : Handle {
  gt_model* model = nullptr;
  std::shared_ptr<GroupHandle> group;  // of a shared model, which needs it to the end
  ~ModelHandle() override { gt_model_destroy(model); }
  void begin() override { gt_model_cancel(model, 0); }  // a cancel that was meant for an earlier call, and came as it ended
  void abandon() override {
    gt_model_cancel(model, 1);
    if (group) group->abandon();
  }
};

class Model : public Napi::ObjectWrap<Model> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Model(const Napi::CallbackInfo& info);

 private:
  Napi::Value parameters(const Napi::CallbackInfo& info);
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value save(const Napi::CallbackInfo& info);
  Napi::Value initialize(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value score(const Napi::CallbackInfo& info);
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  Napi::Value share(const Napi::CallbackInfo& info);
  Napi::Value complete_copies(const Napi::CallbackInfo& info);
  Napi::Value checksum(const Napi::CallbackInfo& info);
  Napi::Value traffic(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value discard(const Napi::CallbackInfo& info);
  Napi::Value generate(const Napi::CallbackInfo& info);
  Napi::Value plan(const Napi::CallbackInfo& info);
  void set_recompute(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  void profile(const Napi::CallbackInfo& info);
  Napi::Value take_profile(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  // The handle, if it is open; `idle` also refuses one with a call in flight.
  std::shared_ptr<ModelHandle> open(Napi::Env env);
  std::shared_ptr<ModelHandle> idle(Napi::Env env);

  std::shared_ptr<ModelHandle> handle_;
};

}  // namespace bind
