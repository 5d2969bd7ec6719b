// The ranks of a run as JavaScript sees them.
#pragma once
#include <napi.h>

#include <memory>

#include "bind/async.h"

namespace bind {

struct GroupHandle : Handle {
  gt_group* group = nullptr;
  ~GroupHandle() override { gt_group_destroy(group); }
  void abandon() override { gt_group_leave(group, "its process ended"); }
};

class Group : public Napi::ObjectWrap<Group> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Group(const Napi::CallbackInfo& info);
  // The handle of a Group that came as an argument.
  static std::shared_ptr<GroupHandle> handle_of(const Napi::Value& v);

 private:
  Napi::Value join(const Napi::CallbackInfo& info);
  Napi::Value gather(const Napi::CallbackInfo& info);
  void leave(const Napi::CallbackInfo& info);
  std::shared_ptr<GroupHandle> idle(Napi::Env env);

  std::shared_ptr<GroupHandle> handle_;
};

}  // namespace bind
