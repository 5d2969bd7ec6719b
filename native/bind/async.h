// One native call off the event loop: its own thread, one thread-safe function, one promise.
//
// Why not Napi::AsyncWorker: its thread-pool work is drained before an environment's cleanup hooks run, so worker.terminate() aborts
// the process and process.exit() waits for the whole call. Here the hook cancels and joins.
#pragma once
#include <napi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#include "api/gemmatune.h"

namespace bind {

inline Napi::Error error_of(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error e = Napi::Error::New(env, message);
  e.Set("code", Napi::String::New(env, code));
  return e;
}

inline const char* code_of(gt_status status) {
  switch (status) {
    case GT_OK: break;
    case GT_ARGUMENT: return "ERR_GEMMATUNE_ARGUMENT";
    case GT_SHAPE: return "ERR_GEMMATUNE_SHAPE";
    case GT_MEMORY: return "ERR_GEMMATUNE_MEMORY";
    case GT_FILE: return "ERR_GEMMATUNE_FILE";
    case GT_DEVICE: return "ERR_GEMMATUNE_DEVICE";
    case GT_CANCELLED: return "ERR_GEMMATUNE_CANCELLED";
    case GT_RANK: return "ERR_GEMMATUNE_RANK";
    case GT_INTERNAL: break;
  }
  return "ERR_GEMMATUNE_INTERNAL";
}

// A native object, shared by its JS object and a running call.
struct Handle {
  std::atomic<bool> busy{false};
  virtual ~Handle() = default;
  virtual void begin() {}      // before a call
  virtual void abandon() = 0;  // from any thread: the running call is to end early
};

class Call {
 public:
  using Work = std::function<gt_status(Call&)>;                    // on the call's thread
  using Result = std::function<Napi::Value(Napi::Env)>;            // on the JS thread, after Work returned GT_OK

  // `progress` may be empty. The promise rejects with the core's message and code when work fails.
  static Napi::Value start(Napi::Env env, std::shared_ptr<Handle> handle, Work work, Result result, Napi::Function progress = {}) {
    auto* call = new Call(env, std::move(handle), std::move(work), std::move(result));
    call->has_progress_ = !progress.IsEmpty();
    call->handle_->busy = true;
    call->handle_->begin();
    call->tsfn_ = Tsfn::New(env, progress, "gemmatune", 0, 1, call, finalize, static_cast<void*>(nullptr));
    // Added after the thread-safe function, so it runs before that one's teardown (hooks run in reverse order).
    napi_add_env_cleanup_hook(env, stop, call);
    const Napi::Promise promise = call->deferred_.Promise();
    try {
      call->thread_ = std::thread([call] { call->run(); });
    } catch (const std::system_error&) {
      call->finish(GT_MEMORY, "no thread could be started for the call; end other programs and try again");
    }
    return promise;
  }

  Handle& handle() const { return *handle_; }

  // From the call's thread.
  void progress(int64_t done) {
    if (has_progress_) post(new Event{false, double(done)});
  }

 private:
  struct Event {
    bool finished;
    double done;
  };
  static void on_event(Napi::Env env, Napi::Function callback, Call* call, Event* event);
  using Tsfn = Napi::TypedThreadSafeFunction<Call, Event, on_event>;

  Call(Napi::Env env, std::shared_ptr<Handle> handle, Work work, Result result)
      : env_(env), handle_(std::move(handle)), work_(std::move(work)), result_(std::move(result)), deferred_(env) {}

  void run() {
    try {
      const gt_status status = work_(*this);
      finish(status, status == GT_OK ? "" : gt_last_error());  // per thread: fetched here
    } catch (const std::bad_alloc&) {
      finish(GT_MEMORY, "out of memory");
    }
  }

  void finish(gt_status status, const char* message) {
    status_ = status;
    message_ = message;
    post(new Event{true, 0});
    tsfn_.Release();
  }

  void post(Event* event) {
    if (tsfn_.NonBlockingCall(event) != napi_ok) delete event;
  }

  // Environment teardown: end the work early and wait for its thread.
  static void stop(void* data) {
    auto* call = static_cast<Call*>(data);
    call->handle_->abandon();
    if (call->thread_.joinable()) call->thread_.join();
  }

  // On the JS thread, after the last Release.
  static void finalize(Napi::Env, void*, Call* call) {
    if (call->thread_.joinable()) call->thread_.join();
    napi_remove_env_cleanup_hook(call->env_, stop, call);
    delete call;
  }

  napi_env env_;
  std::shared_ptr<Handle> handle_;
  Work work_;
  Result result_;
  Napi::Promise::Deferred deferred_;
  Tsfn tsfn_;
  std::thread thread_;
  bool has_progress_ = false;
  gt_status status_ = GT_OK;
  std::string message_;
};

inline void Call::on_event(Napi::Env env, Napi::Function callback, Call* call, Event* raw) {
  std::unique_ptr<Event> event(raw);
  if (env == nullptr) return;  // teardown: only free
  Napi::HandleScope scope(env);
  if (!event->finished) {
    callback.Call({Napi::Number::New(env, event->done)});
    return;
  }
  call->handle_->busy = false;
  if (call->status_ == GT_OK) call->deferred_.Resolve(call->result_(env));
  else call->deferred_.Reject(error_of(env, code_of(call->status_), call->message_).Value());
}

}  // namespace bind
