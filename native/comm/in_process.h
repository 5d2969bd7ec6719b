// Ranks that are threads of one process, each with a device of its own: for tests. Simple: a collective waits for the device, copies to the host, and adds
// up in the order of ranks.
#pragma once
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "core/device.h"

namespace gt::comm {

std::vector<std::unique_ptr<Communicator>> in_process(const std::vector<Device*>& devices);

}  // namespace gt::comm
