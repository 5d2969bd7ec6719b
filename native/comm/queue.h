// A thread that does what it is given, in order. What it throws is thrown again by every later push() and drain(), and the rest is dropped.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace gt::comm {

class Queue {
 public:
  Queue() : thread_([this] { loop(); }) {}
  // Finishes the job under way and drops those behind it.
  ~Queue() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      jobs_.clear();
    }
    changed_.notify_all();
    thread_.join();
  }
  Queue(const Queue&) = delete;

  void push(std::function<void()> job) {
    {
      std::lock_guard lock(mutex_);
      if (error_) std::rethrow_exception(error_);
      jobs_.push_back(std::move(job));
      pushed_++;
    }
    changed_.notify_all();
  }

  // How many jobs there have been.
  int64_t pushed() const {
    const std::lock_guard lock(mutex_);
    return pushed_;
  }

  // Waits until the first `count` jobs ever pushed are done.
  void drain(int64_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_ >= count || error_; });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      std::exception_ptr error;
      try {
        job();
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      done_++;
      if (error) error_ = error, jobs_.clear();
      changed_.notify_all();
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::exception_ptr error_;
  int64_t pushed_ = 0, done_ = 0;
  bool stop_ = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace gt::comm
