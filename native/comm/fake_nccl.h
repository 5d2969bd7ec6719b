// What a test tells comm/fake_nccl.cpp: fake_nccl_knobs(), by dlsym.
#pragma once
#include <atomic>
#include <functional>

namespace gt::testing {

struct FakeNccl {
  void (*enqueue)(void* stream, std::function<bool()> work) = nullptr;  // emulated::enqueue_foreign
  std::atomic<int> version{22304};
  std::atomic<int> polls{0};        // how often a call is still in progress when asked, before it queues its work
  std::atomic<int> refuse{0};       // the result of the next call of a collective, where not 0
  std::atomic<int> async_error{0};  // what a communicator tells when it is asked, where not 0
  std::atomic<bool> hang{false};    // collectives that begin from now on end only by abort
  std::atomic<int> started{0}, ended{0}, aborted{0};  // communicators, so far
};

}  // namespace gt::testing
