// Collectives of GPUs by NCCL, on a lane beside the compute stream.
#pragma once
#include <memory>

#include "comm/communicator.h"
#include "comm/rendezvous.h"
#include "core/device.h"

namespace gt::comm {

// Collective: every rank calls it, each with a device of its own. Both must outlive the communicator. Throws Error(kDevice) where NCCL cannot be used on this
// machine, with the reason; Error(kRank) where another rank does not come along.
std::unique_ptr<Communicator> connect_nccl(Device& device, Rendezvous& rendezvous);

}  // namespace gt::comm
