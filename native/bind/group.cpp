#include "bind/group.h"

#include <string>
#include <vector>

#include "bind/marshal.h"

namespace bind {

// Marks this class's objects, so that another object cannot pass for one.
static constexpr napi_type_tag kTag{0x6765'6d6d'6174'756eull, 0x6772'6f75'7000'0001ull};

Napi::Function Group::define(Napi::Env env) {
  return DefineClass(env, "Group", {InstanceMethod("join", &Group::join), InstanceMethod("gather", &Group::gather), InstanceMethod("leave", &Group::leave)});
}

Group::Group(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Object o = object(info[0], "options");
  const int64_t rank = integer(o, "rank"), size = integer(o, "size");
  if (size < 1 || size > 65536) misuse(info.Env(), "size is " + std::to_string(size) + ", expected 1 to 65536");
  if (rank < 0 || rank >= size) misuse(info.Env(), "rank is " + std::to_string(rank) + ", expected 0 to " + std::to_string(size - 1));
  const std::string address = string(o.Get("address"), "address"), run = string(o.Get("run"), "run"), description = string(o.Get("description"), "description");
  const gt_group_options options{int32_t(rank), int32_t(size), address.c_str(), run.c_str(), description.c_str(), number(o, "joinTimeout"), number(o, "rankTimeout")};
  auto handle = std::make_shared<GroupHandle>();
  if (const gt_status status = gt_group_create(&options, &handle->group)) throw error_of(info.Env(), code_of(status), gt_last_error());
  handle_ = std::move(handle);
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

std::shared_ptr<GroupHandle> Group::handle_of(const Napi::Value& v) {
  const Napi::Object o = object(v, "group");
  if (!o.CheckTypeTag(&kTag)) misuse(v.Env(), "group: expected a Group");
  return Unwrap(o)->handle_;
}

std::shared_ptr<GroupHandle> Group::idle(Napi::Env env) {
  if (handle_->busy) throw error_of(env, "ERR_GEMMATUNE_BUSY", "the group is busy with another call; await that one first");
  return handle_;
}

Napi::Value Group::join(const Napi::CallbackInfo& info) {
  const auto handle = idle(info.Env());
  return Call::start(info.Env(), handle, [handle](Call&) { return gt_group_join(handle->group); }, [](Napi::Env env) -> Napi::Value { return env.Undefined(); });
}

Napi::Value Group::gather(const Napi::CallbackInfo& info) {
  const std::string what = string(info[0], "what");
  const auto mine = std::make_shared<std::vector<uint8_t>>(bytes(info[1], "mine"));
  using All = std::vector<std::vector<uint8_t>>;
  const auto all = std::make_shared<All>();
  const auto handle = idle(info.Env());
  return Call::start(info.Env(), handle, [=](Call&) {
    return gt_group_gather(handle->group, what.c_str(), mine->data(), int64_t(mine->size()), [](void* context, int32_t, const uint8_t* data, int64_t n) { static_cast<All*>(context)->emplace_back(data, data + n); }, all.get());
  }, [all](Napi::Env env) -> Napi::Value {
    Napi::Array result = Napi::Array::New(env, all->size());
    for (size_t i = 0; i < all->size(); i++) {
      Napi::Uint8Array a = Napi::Uint8Array::New(env, (*all)[i].size());
      std::copy((*all)[i].begin(), (*all)[i].end(), a.Data());
      result[uint32_t(i)] = a;
    }
    return result;
  });
}

void Group::leave(const Napi::CallbackInfo& info) { gt_group_leave(handle_->group, string(info[0], "reason").c_str()); }

}  // namespace bind
