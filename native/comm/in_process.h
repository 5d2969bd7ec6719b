// Ranks that are threads of one process, for tests: simple, synchronous, summed in rank order.
#pragma once
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "core/device.h"

namespace gt::comm {

// A communicator for each device, by rank, each for a thread of its own. The devices must live longer. A rank whose communicator ends is lost to the others.
std::vector<std::unique_ptr<Communicator>> in_process(const std::vector<Device*>& devices);

}  // namespace gt::comm
