// Ranks that are threads of this process, each with a device of its own.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/in_process.h"
#include "core/device.h"
#include "testing/check.h"

namespace gt::testing {

// Runs body(rank's device, its communicator) for ranks 0 .. size - 1 at once. GPU ranks take turns on two emulated devices. Throws again what the first rank to
// fail by itself has thrown; the others hear that it has left.
inline void on_ranks(int size, DeviceKind kind, gpu::Level level, const std::function<void(Device& device, comm::Communicator& ranks)>& body) {
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<Device*> pointers;
  for (int r = 0; r < size; r++) {
    devices.push_back(std::make_unique<Device>(kind, kind == DeviceKind::cpu ? 0 : r % 2, 1, level));
    pointers.push_back(devices.back().get());
  }
  auto ranks = comm::in_process(pointers);
  std::vector<std::exception_ptr> own, of_others;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (size_t r = 0; r < ranks.size(); r++)
    threads.emplace_back([&, r] {
      try {
        body(*devices[r], *ranks[r]);
      } catch (...) {
        const std::lock_guard lock(mutex);
        try {
          throw;
        } catch (const Error& e) {
          (e.code == Code::kRank ? of_others : own).push_back(std::current_exception());
        } catch (...) {
          own.push_back(std::current_exception());
        }
      }
      ranks[r].reset();
    });
  for (std::thread& t : threads) t.join();
  for (const auto& errors : {own, of_others})
    if (!errors.empty()) std::rethrow_exception(errors.front());
}

}  // namespace gt::testing
