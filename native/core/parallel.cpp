#include "core/parallel.h"

#include <chrono>

namespace gt {

static constexpr std::chrono::microseconds kSpin{50};

static void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Waits for `ready`, kSpin at most.
template <class Ready>
static void spin(const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; i++) {
      if (ready()) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
}

Threads::Threads(int count) {
  for (int i = 1; i < count; i++) workers_.emplace_back([this] { loop(); });
}

Threads::~Threads() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& w : workers_) w.join();
}

// Takes tasks until none is left. Runs on the calling thread and on each worker.
void Threads::work() {
  for (;;) {
    int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    try {
      body_(context_, task);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      next_.store(tasks_, std::memory_order_relaxed);
    }
  }
}

void Threads::loop() {
  uint64_t seen = 0;
  const auto called = [&] { return stop_.load(std::memory_order_relaxed) || generation_.load(std::memory_order_acquire) != seen; };
  for (;;) {
    spin(called);
    if (!called()) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, called);
    }
    if (stop_) return;
    seen++;  // a run ends when every worker is done with it, so none is missed
    work();
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      std::lock_guard lock(mutex_);  // or the caller could fall asleep between its last look and this
      done_.notify_one();
    }
  }
}

void Threads::run_erased(int64_t tasks, Erased body, const void* context) {
  if (tasks <= 0) return;
  if (tasks == 1 || workers_.empty()) {
    for (int64_t task = 0; task < tasks; task++) body(context, task);
    return;
  }
  body_ = body;
  context_ = context;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  error_ = nullptr;
  running_.store(int(workers_.size()), std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  work();
  // Every worker must have left work() before the next run may reset next_.
  const auto done = [&] { return running_.load(std::memory_order_acquire) == 0; };
  spin(done);
  if (!done()) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, done);
  }
  if (error_) std::rethrow_exception(error_);
}

}  // namespace gt
