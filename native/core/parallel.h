// A pool of threads that runs numbered tasks. What a task computes must not depend on how many threads there are:
// tasks have fixed sizes, and a reduction over tasks is done afterwards in task order. Then any thread count gives the same bits.
//
// A training step is hundreds of runs, many of a millisecond or two: a thread that waits for the next one, or for the others to finish, looks
// for it itself for a while (kSpin) before it goes to sleep, since waking it takes the kernel some 50 microseconds.
#pragma once
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace gt {

class Threads {
 public:
  explicit Threads(int count);  // >= 1; the calling thread is one of them
  ~Threads();
  Threads(const Threads&) = delete;

  int count() const { return int(workers_.size()) + 1; }

  // Runs body(task) for task in [0, tasks), on all threads, and returns when all are done.
  // The first exception thrown by a task is rethrown here. Not reentrant: a body must not call run.
  template <class Body>
  void run(int64_t tasks, const Body& body) {
    run_erased(tasks, [](const void* context, int64_t task) { (*static_cast<const Body*>(context))(task); }, &body);
  }

  // Runs body(begin, end) over [0, n) cut into fixed pieces of `grain`.
  template <class Body>
  void ranges(int64_t n, int64_t grain, const Body& body) {
    run((n + grain - 1) / grain, [&](int64_t task) { body(task * grain, std::min(n, (task + 1) * grain)); });
  }

 private:
  using Erased = void (*)(const void* context, int64_t task);
  void run_erased(int64_t tasks, Erased body, const void* context);
  void work();
  void loop();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<uint64_t> generation_{0};  // of runs; what a run is made of is written before, and read after
  std::atomic<int> running_{0};          // workers that are not done with the run
  std::atomic<bool> stop_{false};
  Erased body_ = nullptr;
  const void* context_ = nullptr;
  int64_t tasks_ = 0;
  std::atomic<int64_t> next_{0};
  std::exception_ptr error_;
};

}  // namespace gt
